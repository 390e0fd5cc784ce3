-- Books of a realistic shape, made in sets, for inventory; `bench` holds the same as sales and
-- documents. Lines of 2 or 3 a sale, 20 lots a product, every 20th product sold short at its end,
-- every 50th sale after a void of the same content, every 40th followed by a credit memo.

create schema bench;

create table bench.lines as
select i, sale, line_number, business, product, quantity,
    sum(quantity) over (partition by business, product order by i) as upto
from (
    select i, (i - 1) / 5 * 2 + ((i - 1) % 5 > 1)::int as sale,
        case when (i - 1) % 5 < 2 then (i - 1) % 5 + 1 else (i - 1) % 5 - 1 end as line_number,
        'business-' || ((i - 1) / 5 * 2 + ((i - 1) % 5 > 1)::int)
            % current_setting('bench.businesses')::int as business,
        (i::bigint * 7919 % current_setting('bench.products')::int)::int as product,
        1 + i * 31 % 5 as quantity
    from generate_series(1, current_setting('bench.lines')::int) as i
) as each;

create table bench.products as
select business, product, max(upto) as sold, product % 20 = 0 as short,
    ceil(max(upto) * case when product % 20 = 0 then 0.95 else 1.1 end / 20)::bigint as lot_size
from bench.lines
group by business, product;

create table bench.parts as
select line.i, line.sale, line.line_number, line.business, line.product, lot,
    least(upto, (lot + 1) * lot_size) - greatest(upto - quantity, lot * lot_size) as quantity,
    10 + lot * 0.25 + (line.product % 7) * 0.001 as unit_cost
from bench.lines as line
join bench.products using (business, product)
cross join lateral generate_series(
    (upto - quantity)::bigint / lot_size, least((upto - 1)::bigint / lot_size, 19)
) as lot;

create table bench.wants as
select line.i, line.sale, line.line_number, line.business, line.product, line.quantity,
    greatest(0, upto - greatest(upto - quantity, 20 * lot_size)) as missing,
    10 + 19 * 0.25 + (line.product % 7) * 0.001 as average,
    coalesce(taken.cost, 0) as taken_cost, taken.last_lot, taken.last_cost,
    sale % 50 = 0 as voided_before,
    sale % 40 = 1 and line_number = 1 and not short and taken.cost is not null as returned
from bench.lines as line
join bench.products using (business, product)
left join (
    select i, sum(quantity * unit_cost) as cost, max(lot) as last_lot, max(unit_cost) as last_cost
    from bench.parts
    group by i
) as taken using (i);
create index on bench.wants (sale);

insert into products (
    business_id, product_id, name, product_type, version, stock_on_hand, stock_version,
    last_average_cost, lots_recorded, operations, changed_at
)
select p.business, 'product-' || p.product, 'Product ' || p.product, 'finished-good', 1,
    20 * p.lot_size - p.sold + coalesce(back.units, 0), 1, 14.75, 20,
    current_setting('bench.lines')::int * 2, now()
from bench.products as p
left join (
    select business, product, count(*) as units from bench.wants where returned group by 1, 2
) as back using (business, product);

insert into lots (
    business_id, lot_id, product_id, lot_number, received_on, sequence, quantity_received,
    quantity_remaining, unit_cost, unit_cost_received, recorded_at
)
select p.business, 'lot-' || p.product || '-' || lot, 'product-' || p.product, 'L-' || lot,
    date '2025-01-01' + lot::int, lot + 1, lot_size,
    lot_size - coalesce(used.quantity, 0) + coalesce(back.units, 0),
    10 + lot * 0.25 + (p.product % 7) * 0.001, 10 + lot * 0.25 + (p.product % 7) * 0.001, now()
from bench.products as p
cross join generate_series(0, 19) as lot
left join (
    select business, product, lot, sum(quantity) as quantity from bench.parts group by 1, 2, 3
) as used using (business, product, lot)
left join (
    select business, product, last_lot as lot, count(*) as units
    from bench.wants where returned group by 1, 2, 3
) as back using (business, product, lot);

insert into consumption_lines (
    business_id, sale_id, ordinal, line_id, product_id, quantity, cost, shortage_quantity,
    shortage_open, shortage_returned, shortage_unit_cost, quantity_returned, uncosted
)
select business, 'sale-' || sale, line_number - 1, line_number::text, 'product-' || product, quantity,
    round(taken_cost + missing * average, 2), missing, missing, 0,
    case when missing > 0 then average else 0 end, returned::int, false
from bench.wants
union all
select business, 'memo-' || sale, 0, '1', 'product-' || product, -1, -round(last_cost, 2), 0, 0, 0, 0,
    0, false
from bench.wants where returned;

insert into consumptions (
    business_id, sale_id, line_id, ordinal, lot_id, quantity, unit_cost, taken, quantity_returned
)
select part.business, 'sale-' || part.sale, part.line_number::text, part.lot,
    'lot-' || part.product || '-' || part.lot, part.quantity, part.unit_cost, part.i,
    (want.returned and part.lot = want.last_lot)::int
from bench.parts as part
join bench.wants as want using (i);

insert into returned_goods (
    business_id, sale_id, line_id, ordinal, source_sale_id, source_line_id, lot_id, quantity,
    unit_cost, given
)
select business, 'memo-' || sale, '1', 0, 'sale-' || sale, '1',
    'lot-' || product || '-' || last_lot, 1, last_cost, current_setting('bench.lines')::int + i
from bench.wants where returned;

insert into sale_consumptions (
    business_id, sale_id, revision, costing, sale_date, customer_external_id, returns, sale_order, cost
)
select business_id, sale_id, 1, 1, date '2025-02-01' + (number % 300)::int, (number % 1000)::text,
    'original-lots', number, cost
from (
    select business_id, sale_id, sum(cost) as cost, split_part(sale_id, '-', 2)::bigint as number
    from consumption_lines
    group by business_id, sale_id
) as each
union all
select distinct business, 'void-' || sale, 2, 1, date '2025-02-01', '1', 'original-lots', sale, 0
from bench.wants where voided_before;

insert into stock_transactions (
    business_id, product_id, kind, lot_id, quantity, unit_cost, sale_id, revision, line_id
)
select business, 'product-' || product, kind, 'lot-' || product || '-' || lot, quantity, unit_cost,
    sale_id, revision, line_id
from (
    select 0 as at, 0 as step, business_id as business, split_part(product_id, '-', 2)::int as product,
        'receipt' as kind, (sequence - 1)::text as lot, quantity_received as quantity, unit_cost,
        null as sale_id, null::bigint as revision, null as line_id
    from lots
    union all
    select i, 3, business, product, 'sale', lot::text, -quantity, unit_cost, 'sale-' || sale, 1,
        line_number::text
    from bench.parts
    union all
    select i, 3, business, product, 'sale', null, -missing, average, 'sale-' || sale, 1,
        line_number::text
    from bench.wants where missing > 0
    union all
    select part.i, turn.step, part.business, part.product, turn.kind, part.lot::text,
        turn.sign * part.quantity, part.unit_cost, 'void-' || part.sale, turn.step,
        part.line_number::text
    from bench.parts as part
    cross join (values (1, 'sale', -1), (2, 'sale-reversal', 1)) as turn (step, kind, sign)
    where part.sale % 50 = 0
    union all
    select current_setting('bench.lines')::int + i, 0, business, product, 'return', last_lot::text, 1,
        last_cost, 'memo-' || sale, 1, '1'
    from bench.wants where returned
) as each
order by at, step;

-- The same as the sales-processor holds it.

create table bench.sale_lines as
select business_id, sale_id, line_id::int as line_number, product_id as item_external_id, product_id,
    product_id as product_name, null::text as description, quantity, 25.00 as unit_price,
    25.00 * abs(quantity) as amount, 0.00 as discount, 25.00 * quantity as revenue, cost,
    case when quantity > 0 then coalesce(taken.parts, '[]') else '[]' end as allocations,
    case when shortage_open > 0 then jsonb_build_object(
        'quantity', shortage_quantity::text, 'open', shortage_open::text, 'returned', '0',
        'unit_cost', shortage_unit_cost::text, 'uncosted', false
    ) end as shortage,
    null::text as skipped_reason, null::text[] as flags, given.parts as returned
from consumption_lines
left join (
    select business_id, sale_id, line_id, jsonb_agg(jsonb_build_object(
        'lot_id', lot_id, 'lot_number', lot_id, 'quantity', quantity::text,
        'unit_cost', unit_cost::text
    )) as parts
    from consumptions group by 1, 2, 3
) as taken using (business_id, sale_id, line_id)
left join (
    select business_id, sale_id, line_id, jsonb_agg(jsonb_build_object(
        'source_sale_id', source_sale_id, 'source_line_id', source_line_id, 'lot_id', lot_id,
        'quantity', quantity::text, 'unit_cost', unit_cost::text
    )) as parts
    from returned_goods group by 1, 2, 3
) as given using (business_id, sale_id, line_id);

create table bench.sales as
select business_id, sale_id, 'channel-' || business_id as channel_id, 'synced' as source,
    case when sale_id like 'memo-%' then 'credit-memo' else 'invoice' end as kind,
    sale_id as external_id, version as seen_version,
    case when version = 0 then 'active' else 'voided' end as intent, sale_id as content_hash,
    version + 1 as revision, version + 1 as costed_revision,
    version + 1 as asked_revision, 1 as costing, version = 0 as holds_goods,
    false as update_waiting, case when version = 0 then 'active' else 'voided' end as status, version,
    sale_id as number, '1' as customer_external_id, 'Customer' as customer_name, sale_date,
    'USD' as currency, 1::numeric as exchange_rate, coalesce(lines.amount, 0) as total_amount,
    0.00 as tax_amount, coalesce(lines.revenue, 0) as revenue, cost, '{}'::text[] as flags,
    'run-' || business_id as sync_id, now() as recorded_at,
    case when version = 1 then now() end as voided_at,
    case when version = 1 then 'voided' end as void_reason
from (
    select business_id, sale_id, sale_date, cost, (sale_id like 'void-%')::int::bigint as version
    from sale_consumptions
) as each
left join (
    select business_id, sale_id, sum(revenue) as revenue, sum(amount) as amount
    from bench.sale_lines group by 1, 2
) as lines using (business_id, sale_id);

create table bench.sync_entries as
select business_id, sync_id, false as retried,
    row_number() over (partition by business_id order by sale_id) - 1 as sequence, sale_id, version,
    case when version = 0 then 'created' else 'voided' end as outcome
from bench.sales;

create table bench.sync_runs as
select business_id, sync_id, 'channel-' || business_id as channel_id, 'completed' as phase,
    now() as started_at, count(*)::int as published, 0 as unchanged, '[]'::jsonb as failures,
    count(*)::int as received, now() as completed_at, jsonb_build_object(
        'received', count(*), 'created', count(*) filter (where version = 0), 'updated', 0,
        'voided', count(*) filter (where version = 1), 'skipped_total', 0, 'errors', '[]'::jsonb
    ) as summary
from bench.sales
group by business_id, sync_id;

create table bench.sale_revisions as
select business_id, sale_id, 1 as revision, 1 as costing, 0 as version, 'active' as status, sale_date,
    total_amount, 0.00 as tax_amount, revenue, cost, '{}'::text[] as flags, '[]'::jsonb as lines,
    now() as replaced_at
from bench.sales where version = 1;

create table bench.channels as
select distinct business_id, channel_id, 'accounting' as channel_type, 'active' as status,
    'connection-' || business_id as connection_id, '{}'::jsonb as settings, now() as changed_at
from bench.sales;

create table bench.sales_products as
select business_id, product_id, name, product_type, version from products;

-- The same as the connector holds it.

create table bench.businesses as
select business_id from bench.channels;
create table bench.connections as
select business_id, connection_id, 'quickbooks' as provider, business_id as realm_id,
    'removed' as status, changed_at
from bench.channels;
create table bench.connector_channels as
select channel_id, business_id, channel_type, 'inactive' as status, connection_id,
    date '2025-01-01' as initial_sync_date, '{}'::jsonb as settings, now() as cursor_at, now() as changed_at,
    '{invoice,credit-memo}'::text[] as kinds_read
from bench.channels;
create table bench.connector_runs as
select sync_id, business_id, channel_id, now() as requested_at, 'completed' as status,
    'ended' as phase, now() as started_at, now() as ended_at, published as received,
    published as to_publish, published
from bench.sync_runs;
create table bench.documents as
select business_id, 'channel-' || business_id as channel_id,
    case when sale_id like 'memo-%' then 'credit-memo' else 'invoice' end as kind,
    sale_id as external_id, version, case when version = 0 then 'active' else 'voided' end as status,
    date '2025-02-01' as transaction_date, now() as source_updated_at,
    convert_to(repeat(md5(sale_id), 20), 'UTF8') as payload, now() as received_at, sync_id as met_in,
    'published' as outcome, sync_id as settled_in, sequence::int as sequence, sale_id as content_hash
from bench.sync_entries;
