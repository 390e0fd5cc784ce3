-- migrate:up

-- To how many places a line's cost is rounded: the minor unit of the home currency.
alter table consumption_lines
    add column places smallint not null default 2 check (places between 0 and 6),
    add check (cost = round(cost, places));

-- migrate:down
-- Forward only.
