-- migrate:up

-- The currency of revenue, cost and margin, and to how many places they are rounded: its minor unit,
-- two where it is not known.
alter table sales
    add column home_currency text,
    add column money_places smallint not null default 2 check (money_places between 0 and 6),
    add check (revenue = round(revenue, money_places) and cost = round(cost, money_places));
alter table sale_revisions add column home_currency text;

-- migrate:down
-- Forward only.
