-- migrate:up

-- Returns are lines with a negative quantity; `returned` says where each part of the goods went. A
-- cost has the sign of the quantity that it is for, and a line without one costs nothing.
alter table sale_lines
    add column returned jsonb,
    add check (returned is null or (jsonb_typeof(returned) = 'array' and quantity < 0)),
    add check (cost = 0 or (quantity is not null and sign(cost) = sign(quantity))),
    add check (shortage is null or quantity > 0);

-- migrate:down
-- Forward only.
