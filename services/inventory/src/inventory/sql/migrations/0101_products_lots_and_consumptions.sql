-- migrate:up

create table products (
    business_id text not null,
    product_id text not null,
    name text not null,
    sku text,
    product_type text not null check (
        product_type in ('finished-good', 'raw-material', 'component', 'sub-assembly', 'service')
    ),
    purchase_cost numeric check (purchase_cost >= 0),
    -- Grows with every change that `product-changed` announces.
    version bigint not null check (version > 0),
    -- The sum of the product's stock transactions; negative while sales are short.
    stock_on_hand numeric not null default 0,
    -- Grows with every change of stock on hand.
    stock_version bigint not null default 0,
    -- The average cost of the open lots when there last were any.
    last_average_cost numeric check (last_average_cost >= 0),
    -- The place of the last lot recorded, or beyond it: lots of one day go by their places.
    lots_recorded bigint not null default 0,
    -- Counts the operations that took goods or gave them back: what happened since what.
    operations bigint not null default 0,
    changed_at timestamptz not null,
    primary key (business_id, product_id)
);

create table item_links (
    business_id text not null,
    connection_id text not null,
    item_external_id text not null,
    product_id text not null,
    primary key (business_id, connection_id, item_external_id),
    foreign key (business_id, product_id) references products
);
create index item_links_of_product on item_links (business_id, product_id);

create table lots (
    business_id text not null,
    lot_id text not null,
    product_id text not null,
    lot_number text not null,
    received_on date not null,
    sequence bigint not null,
    -- Of a return lot: what its document gives now, nothing once that is taken off.
    quantity_received numeric not null,
    quantity_remaining numeric not null check (quantity_remaining >= 0),
    -- What adjustments added and took, and what voiding took out.
    quantity_adjusted numeric not null default 0,
    quantity_voided numeric not null default 0 check (quantity_voided >= 0),
    unit_cost numeric not null check (unit_cost >= 0),
    -- As it was recorded, before any change.
    unit_cost_received numeric not null check (unit_cost_received >= 0),
    voided_at timestamptz,
    recorded_at timestamptz not null,
    -- The document whose leftover goods a return lot is.
    return_sale_id text,
    primary key (business_id, lot_id),
    foreign key (business_id, product_id) references products,
    check (voided_at is null or quantity_remaining = 0),
    check (quantity_received > 0 or (quantity_received = 0 and return_sale_id is not null)),
    unique (business_id, product_id, sequence)
);
create index open_lots on lots (business_id, product_id, received_on, sequence, lot_id)
where quantity_remaining > 0;
create index lots_by_number on lots (business_id, product_id, lot_number);

create sequence sale_order;

-- What inventory knows of a document: the revision applied and what it cost.
create table sale_consumptions (
    business_id text not null,
    sale_id text not null,
    revision bigint not null check (revision > 0),
    -- Counts the costings of this revision.
    costing integer not null check (costing > 0),
    sale_date date not null,
    customer_external_id text,
    -- Where goods go that it gives back.
    returns text not null check (returns in ('original-lots', 'return-lot')),
    -- The order in which documents were first recorded.
    sale_order bigint not null,
    cost numeric not null,
    primary key (business_id, sale_id)
);
create index sales_of_customer
on sale_consumptions (business_id, customer_external_id, sale_date, sale_order)
where customer_external_id is not null;

-- A line takes goods, or, with a negative quantity, gives goods back.
create table consumption_lines (
    business_id text not null,
    sale_id text not null,
    ordinal integer not null,
    line_id text not null,
    product_id text not null,
    quantity numeric not null check (quantity <> 0),
    cost numeric not null,
    shortage_quantity numeric not null check (shortage_quantity >= 0),
    shortage_open numeric not null check (shortage_open >= 0),
    -- Goods that were given back while they were missing: they keep their average.
    shortage_returned numeric not null check (shortage_returned >= 0),
    shortage_unit_cost numeric not null check (shortage_unit_cost >= 0),
    -- All that was given back of this line, missing or not.
    quantity_returned numeric not null check (quantity_returned >= 0),
    uncosted boolean not null,
    primary key (business_id, sale_id, line_id),
    check (shortage_open + shortage_returned <= shortage_quantity),
    check (shortage_quantity <= greatest(quantity, 0)),
    check (quantity_returned <= greatest(quantity, 0)),
    check (case when quantity > 0 then cost >= 0 else cost <= 0 end)
);
create index open_shortages on consumption_lines (business_id, product_id)
where shortage_open > 0;

-- What each line holds now of each lot; history stands in stock_transactions.
create table consumptions (
    business_id text not null,
    sale_id text not null,
    line_id text not null,
    ordinal integer not null,
    lot_id text not null,
    quantity numeric not null check (quantity > 0),
    unit_cost numeric not null check (unit_cost >= 0),
    -- The product's operation that took it.
    taken bigint not null,
    -- Of the quantity, what was given back.
    quantity_returned numeric not null check (quantity_returned >= 0),
    primary key (business_id, sale_id, line_id, ordinal),
    foreign key (business_id, lot_id) references lots,
    check (quantity_returned <= quantity)
);
create index consumptions_of_lot on consumptions (business_id, lot_id);

-- What each return line gives back now: to what a sale line took of a lot, to what it is short of
-- (no lot), or into a return lot (no source).
create table returned_goods (
    business_id text not null,
    sale_id text not null,
    line_id text not null,
    ordinal integer not null,
    source_sale_id text,
    source_line_id text,
    lot_id text,
    quantity numeric not null check (quantity > 0),
    unit_cost numeric not null check (unit_cost >= 0),
    -- The product's operation that gave it.
    given bigint not null,
    primary key (business_id, sale_id, line_id, ordinal),
    foreign key (business_id, lot_id) references lots,
    check ((source_sale_id is null) = (source_line_id is null)),
    check (source_sale_id is not null or lot_id is not null)
);
create index returned_goods_of_source on returned_goods (business_id, source_sale_id)
where source_sale_id is not null;
create index returned_goods_of_lot on returned_goods (business_id, lot_id)
where lot_id is not null;

create table adjustments (
    business_id text not null,
    adjustment_id text not null,
    lot_id text not null,
    quantity numeric not null check (quantity <> 0),
    reason text not null check (reason in ('count-correction', 'breakage', 'loss', 'other')),
    primary key (business_id, adjustment_id),
    foreign key (business_id, lot_id) references lots,
    check (reason not in ('breakage', 'loss') or quantity < 0)
);

-- Every change of stock, once, for ever. A transaction without a lot is goods sold short.
create table stock_transactions (
    business_id text not null,
    stock_transaction_id bigint generated always as identity,
    product_id text not null,
    kind text not null check (
        kind in (
            'receipt', 'sale', 'sale-reversal', 'return', 'return-reversal', 'adjustment', 'lot-void'
        )
    ),
    lot_id text,
    quantity numeric not null check (quantity <> 0),
    unit_cost numeric not null,
    sale_id text,
    revision bigint,
    line_id text,
    reason text,
    at timestamptz not null default now(),
    primary key (business_id, stock_transaction_id),
    check ((kind in ('sale', 'return-reversal')) <= (quantity < 0)),
    -- What left a voided lot because it never came back is taken out of it again.
    check (kind <> 'lot-void' or quantity < 0 or reason = 'left-void'),
    check ((kind in ('receipt', 'sale-reversal', 'return')) <= (quantity > 0)),
    check (
        (kind in ('sale', 'sale-reversal', 'return', 'return-reversal'))
        = (sale_id is not null and line_id is not null)
    ),
    check (lot_id is not null or kind in ('sale', 'sale-reversal', 'return', 'return-reversal'))
);
create index stock_transactions_of_product
on stock_transactions (business_id, product_id, stock_transaction_id);
create index stock_transactions_of_sale on stock_transactions (business_id, sale_id)
where sale_id is not null;

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'stock_transactions is append-only: corrections are new rows';
end
$$;
create trigger append_only before update or delete or truncate on stock_transactions
for each statement execute function refuse_change();

-- The open lots of a product, oldest first, until they hold more than is wanted: cost grows with what
-- is taken, not with how many lots there are.
create function open_lots_beyond(wanted_business_id text, wanted_product_id text, wanted numeric)
returns setof lots language plpgsql stable as $$
declare
    lot lots;
    covered numeric := 0;
begin
    for lot in
        select * from lots
        where business_id = wanted_business_id
          and product_id = wanted_product_id
          and quantity_remaining > 0
        order by received_on, sequence, lot_id
    loop
        return next lot;
        covered := covered + lot.quantity_remaining;
        exit when covered > wanted;
    end loop;
end
$$;

-- The documents of a customer that hold goods of a product which may come back, the latest first,
-- until they hold more than is wanted.
create function sales_beyond(
    wanted_business_id text, wanted_customer text, wanted_product_id text, wanted numeric
)
returns setof text language plpgsql stable as $$
declare
    found_id text;
    held numeric;
    covered numeric := 0;
begin
    for found_id, held in
        select s.sale_id,
               (
                   select sum(l.quantity - l.quantity_returned)
                   from consumption_lines as l
                   where l.business_id = s.business_id
                     and l.sale_id = s.sale_id
                     and l.product_id = wanted_product_id
                     and l.quantity > l.quantity_returned
               )
        from sale_consumptions as s
        where s.business_id = wanted_business_id
          and s.customer_external_id = wanted_customer
        order by s.sale_date desc, s.sale_order desc
    loop
        continue when held is null;
        return next found_id;
        covered := covered + held;
        exit when covered > wanted;
    end loop;
end
$$;

-- migrate:down
-- Forward only.
