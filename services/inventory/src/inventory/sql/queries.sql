-- name: lock_products(business_ids, product_ids)
-- Products of a batch, locked in one order: whoever holds a product's row may change its lots and sales.
select p.business_id, p.product_id, p.name, p.sku, p.product_type, p.purchase_cost, p.version,
       p.stock_on_hand, p.stock_version, p.last_average_cost, p.lots_recorded, p.operations
from products as p
join unnest(:business_ids::text[], :product_ids::text[]) as wanted (business_id, product_id)
  using (business_id, product_id)
order by p.business_id, p.product_id
for update of p;

-- name: list_links_of_products(business_ids, product_ids)
-- Every link of these products.
select l.business_id, l.connection_id, l.item_external_id, l.product_id
from item_links as l
join unnest(:business_ids::text[], :product_ids::text[]) as wanted (business_id, product_id)
  using (business_id, product_id);

-- name: list_links(business_ids, connection_ids, item_external_ids)
-- The products that these items are linked to.
select l.business_id, l.connection_id, l.item_external_id, l.product_id
from item_links as l
join unnest(:business_ids::text[], :connection_ids::text[], :item_external_ids::text[])
  as wanted (business_id, connection_id, item_external_id)
  using (business_id, connection_id, item_external_id);

-- name: list_lots(business_ids, lot_ids)
-- Lots by id.
select l.business_id, l.lot_id, l.product_id, l.lot_number, l.received_on, l.sequence,
       l.quantity_received, l.quantity_remaining, l.quantity_adjusted, l.quantity_voided,
       l.unit_cost, l.unit_cost_received, l.voided_at is not null as voided, l.return_sale_id
from lots as l
join unnest(:business_ids::text[], :lot_ids::text[]) as wanted (business_id, lot_id)
  using (business_id, lot_id);

-- name: list_open_lots(business_ids, product_ids, quantities)
-- Open lots of each product, oldest first, until they hold more than is wanted.
select l.business_id, l.lot_id, l.product_id, l.lot_number, l.received_on, l.sequence,
       l.quantity_received, l.quantity_remaining, l.quantity_adjusted, l.quantity_voided,
       l.unit_cost, l.unit_cost_received, l.voided_at is not null as voided, l.return_sale_id
from unnest(:business_ids::text[], :product_ids::text[], :quantities::numeric[])
  as wanted (business_id, product_id, quantity)
cross join lateral open_lots_beyond(wanted.business_id, wanted.product_id, wanted.quantity) as l;

-- name: list_active_numbers(business_ids, product_ids, lot_numbers)
-- Active lots that bear one of these numbers.
select l.business_id, l.lot_id
from lots as l
join unnest(:business_ids::text[], :product_ids::text[], :lot_numbers::text[])
  as wanted (business_id, product_id, lot_number)
  using (business_id, product_id, lot_number)
where l.quantity_remaining > 0;

-- name: list_adjustments(business_ids, adjustment_ids)
-- Adjustments by id.
select a.business_id, a.adjustment_id, a.lot_id, a.quantity, a.reason
from adjustments as a
join unnest(:business_ids::text[], :adjustment_ids::text[]) as wanted (business_id, adjustment_id)
  using (business_id, adjustment_id);

-- name: list_sales(business_ids, sale_ids)
-- What is known of these documents; entangled are those with returns, of their goods or their own.
select s.business_id, s.sale_id, s.revision, s.costing, s.sale_date, s.customer_external_id,
       s.sale_order, s.returns,
       exists (
           select from consumption_lines as l
           where l.business_id = s.business_id
             and l.sale_id = s.sale_id
             and (l.quantity < 0 or l.quantity_returned > 0)
       ) as entangled
from sale_consumptions as s
join unnest(:business_ids::text[], :sale_ids::text[]) as wanted (business_id, sale_id)
  using (business_id, sale_id);

-- name: list_sale_lines(business_ids, sale_ids)
-- The lines of these documents, with what each holds of lots.
select l.business_id, l.sale_id, l.line_id, l.product_id, l.quantity, l.shortage_quantity,
       l.shortage_open, l.shortage_returned, l.shortage_unit_cost, l.uncosted, l.places,
       coalesce(held.lot_ids, '{}') as lot_ids,
       coalesce(held.quantities, '{}') as quantities,
       coalesce(held.unit_costs, '{}') as unit_costs,
       coalesce(held.taken, '{}') as taken,
       coalesce(held.returned, '{}') as returned
from consumption_lines as l
join unnest(:business_ids::text[], :sale_ids::text[]) as wanted (business_id, sale_id)
  using (business_id, sale_id)
left join lateral (
    select array_agg(c.lot_id order by c.ordinal) as lot_ids,
           array_agg(c.quantity order by c.ordinal) as quantities,
           array_agg(c.unit_cost order by c.ordinal) as unit_costs,
           array_agg(c.taken order by c.ordinal) as taken,
           array_agg(c.quantity_returned order by c.ordinal) as returned
    from consumptions as c
    where c.business_id = l.business_id and c.sale_id = l.sale_id and c.line_id = l.line_id
) as held on true
order by l.business_id, l.sale_id, l.ordinal;

-- name: list_returned_goods(business_ids, sale_ids)
-- What the return lines of these documents gave back.
select r.business_id, r.sale_id, r.line_id, r.source_sale_id, r.source_line_id, r.lot_id,
       r.quantity, r.unit_cost, r.given
from returned_goods as r
join unnest(:business_ids::text[], :sale_ids::text[]) as wanted (business_id, sale_id)
  using (business_id, sale_id)
order by r.business_id, r.sale_id, r.line_id, r.ordinal;

-- name: list_all_lots(business_id, product_id)
-- Every lot that a product ever had.
select l.business_id, l.lot_id, l.product_id, l.lot_number, l.received_on, l.sequence,
       l.quantity_received, l.quantity_remaining, l.quantity_adjusted, l.quantity_voided,
       l.unit_cost, l.unit_cost_received, l.voided_at is not null as voided, l.return_sale_id
from lots as l
where l.business_id = :business_id and l.product_id = :product_id;

-- name: list_history(business_id, product_id)
-- Every line of a product with its document and what it holds, by the calendar.
select s.sale_id, s.revision, s.costing, s.sale_date, s.customer_external_id, s.sale_order,
       s.returns, l.line_id, l.product_id, l.quantity, l.shortage_quantity, l.shortage_open,
       l.shortage_returned, l.shortage_unit_cost, l.uncosted, l.places,
       coalesce(held.lot_ids, '{}') as lot_ids,
       coalesce(held.quantities, '{}') as quantities,
       coalesce(held.unit_costs, '{}') as unit_costs,
       coalesce(held.taken, '{}') as taken,
       coalesce(held.returned, '{}') as returned
from (
    select distinct t.sale_id
    from stock_transactions as t
    where t.business_id = :business_id
      and t.product_id = :product_id
      and t.sale_id is not null
) as moved
join sale_consumptions as s on s.business_id = :business_id and s.sale_id = moved.sale_id
join consumption_lines as l
  on l.business_id = s.business_id
  and l.sale_id = s.sale_id
  and l.product_id = :product_id
left join lateral (
    select array_agg(c.lot_id order by c.ordinal) as lot_ids,
           array_agg(c.quantity order by c.ordinal) as quantities,
           array_agg(c.unit_cost order by c.ordinal) as unit_costs,
           array_agg(c.taken order by c.ordinal) as taken,
           array_agg(c.quantity_returned order by c.ordinal) as returned
    from consumptions as c
    where c.business_id = l.business_id and c.sale_id = l.sale_id and c.line_id = l.line_id
) as held on true
order by s.sale_date, s.sale_order, l.ordinal;

-- name: list_history_of_returns(business_id, product_id)
-- What every return line of a product gave back.
select r.sale_id, r.line_id, r.source_sale_id, r.source_line_id, r.lot_id, r.quantity, r.unit_cost,
       r.given
from (
    select distinct t.sale_id
    from stock_transactions as t
    where t.business_id = :business_id
      and t.product_id = :product_id
      and t.kind = 'return'
) as moved
join returned_goods as r on r.business_id = :business_id and r.sale_id = moved.sale_id
join consumption_lines as l
  on l.business_id = r.business_id
  and l.sale_id = r.sale_id
  and l.line_id = r.line_id
  and l.product_id = :product_id
order by r.sale_id, r.line_id, r.ordinal;

-- name: list_returns_of_sales(business_ids, sale_ids)
-- The documents that gave back goods of these.
select distinct r.business_id, r.sale_id
from returned_goods as r
join unnest(:business_ids::text[], :sale_ids::text[]) as wanted (business_id, source_sale_id)
  using (business_id, source_sale_id);

-- name: list_sales_of_customers(business_ids, customers, product_ids, quantities)
-- Documents of each customer that hold a product, the latest first, until they hold more than is wanted.
select distinct wanted.business_id, found.sale_id
from unnest(:business_ids::text[], :customers::text[], :product_ids::text[], :quantities::numeric[])
  as wanted (business_id, customer, product_id, quantity)
cross join lateral sales_beyond(
    wanted.business_id, wanted.customer, wanted.product_id, wanted.quantity
) as found (sale_id);

-- name: list_holders(business_ids, lot_ids, sinces, quantities, known_ids)
-- Documents that hold goods of a lot, in the order of giving up, until they hold more than is wanted.
select distinct holder.business_id, holder.sale_id
from unnest(:business_ids::text[], :lot_ids::text[], :sinces::bigint[], :quantities::numeric[])
  as wanted (business_id, lot_id, since, quantity)
cross join lateral (
    select c.business_id, c.sale_id,
           coalesce(
               sum(c.quantity - c.quantity_returned) over (
                   order by (c.taken > wanted.since)::int desc, s.sale_date desc,
                            s.sale_order desc
                   rows between unbounded preceding and 1 preceding
               ),
               0
           ) as before
    from consumptions as c
    join sale_consumptions as s using (business_id, sale_id)
    where c.business_id = wanted.business_id
      and c.lot_id = wanted.lot_id
      and c.quantity > c.quantity_returned
      and c.sale_id <> all(:known_ids::text[])
) as holder
where holder.before <= wanted.quantity;

-- name: list_short_sales(business_ids, product_ids, quantities)
-- Sales short of these products, oldest sale date first, until they lack more than becomes available.
select distinct short.business_id, short.sale_id
from unnest(:business_ids::text[], :product_ids::text[], :quantities::numeric[])
  as wanted (business_id, product_id, quantity)
cross join lateral (
    select l.business_id, l.sale_id,
           sum(l.shortage_open) over (order by s.sale_date, s.sale_order, l.ordinal)
             - l.shortage_open as before
    from consumption_lines as l
    join sale_consumptions as s using (business_id, sale_id)
    where l.business_id = wanted.business_id
      and l.product_id = wanted.product_id
      and l.shortage_open > 0
) as short
where short.before <= wanted.quantity;

-- name: next_sale_orders(count)
-- Numbers for sales recorded for the first time.
select nextval('sale_order') as sale_order
from generate_series(1, :count);

-- name: insert_products(business_ids, product_ids, names, skus, product_types, purchase_costs, versions, stocks, stock_versions, averages, lots_recorded, operations, instant)!
-- Products put for the first time.
insert into products (
    business_id, product_id, name, sku, product_type, purchase_cost, version, stock_on_hand,
    stock_version, last_average_cost, lots_recorded, operations, changed_at
)
select business_id, product_id, name, sku, product_type, purchase_cost, version, stock, stock_version,
       average, lots, operations, :instant::timestamptz
from unnest(
    :business_ids::text[], :product_ids::text[], :names::text[], :skus::text[],
    :product_types::text[], :purchase_costs::numeric[], :versions::bigint[], :stocks::numeric[],
    :stock_versions::bigint[], :averages::numeric[], :lots_recorded::bigint[],
    :operations::bigint[]
) as p (
    business_id, product_id, name, sku, product_type, purchase_cost, version, stock, stock_version,
    average, lots, operations
);

-- name: update_products(business_ids, product_ids, names, skus, product_types, purchase_costs, versions, stocks, stock_versions, averages, lots_recorded, operations, instant)!
-- Products that changed.
update products as p
set name = n.name, sku = n.sku, product_type = n.product_type, purchase_cost = n.purchase_cost,
    version = n.version, stock_on_hand = n.stock, stock_version = n.stock_version,
    last_average_cost = n.average, lots_recorded = n.lots, operations = n.operations,
    changed_at = case when p.version = n.version then p.changed_at else :instant::timestamptz end
from unnest(
    :business_ids::text[], :product_ids::text[], :names::text[], :skus::text[],
    :product_types::text[], :purchase_costs::numeric[], :versions::bigint[], :stocks::numeric[],
    :stock_versions::bigint[], :averages::numeric[], :lots_recorded::bigint[],
    :operations::bigint[]
) as n (
    business_id, product_id, name, sku, product_type, purchase_cost, version, stock, stock_version,
    average, lots, operations
)
where p.business_id = n.business_id and p.product_id = n.product_id;

-- name: save_links(business_ids, connection_ids, item_external_ids, product_ids)!
-- Links made or moved.
insert into item_links (business_id, connection_id, item_external_id, product_id)
select business_id, connection_id, item_external_id, product_id
from unnest(
    :business_ids::text[], :connection_ids::text[], :item_external_ids::text[], :product_ids::text[]
) as n (business_id, connection_id, item_external_id, product_id)
on conflict (business_id, connection_id, item_external_id)
do update set product_id = excluded.product_id;

-- name: delete_links(business_ids, connection_ids, item_external_ids)!
-- Links taken back.
delete from item_links as l
using unnest(:business_ids::text[], :connection_ids::text[], :item_external_ids::text[])
  as gone (business_id, connection_id, item_external_id)
where l.business_id = gone.business_id
  and l.connection_id = gone.connection_id
  and l.item_external_id = gone.item_external_id;

-- name: update_lots(business_ids, lot_ids, received, remaining, adjusted, voided_quantities, unit_costs, unit_costs_received, voided, instant)!
-- What changed of lots.
update lots as l
set quantity_received = n.received,
    quantity_remaining = n.remaining, quantity_adjusted = n.adjusted,
    quantity_voided = n.voided_quantity, unit_cost = n.unit_cost,
    unit_cost_received = n.unit_cost_received,
    voided_at = case when n.voided then coalesce(l.voided_at, :instant::timestamptz) end
from unnest(
    :business_ids::text[], :lot_ids::text[], :received::numeric[],
    :remaining::numeric[], :adjusted::numeric[], :voided_quantities::numeric[],
    :unit_costs::numeric[], :unit_costs_received::numeric[], :voided::boolean[]
) as n (
    business_id, lot_id, received, remaining, adjusted, voided_quantity, unit_cost,
    unit_cost_received, voided
)
where l.business_id = n.business_id and l.lot_id = n.lot_id;

-- name: update_sales(business_ids, sale_ids, revisions, costings, sale_dates, customers, returns, costs)!
-- Documents known before.
update sale_consumptions as s
set revision = n.revision, costing = n.costing, sale_date = n.sale_date,
    customer_external_id = n.customer, returns = n.returns, cost = n.cost
from unnest(
    :business_ids::text[], :sale_ids::text[], :revisions::bigint[], :costings::int[],
    :sale_dates::date[], :customers::text[], :returns::text[], :costs::numeric[]
) as n (business_id, sale_id, revision, costing, sale_date, customer, returns, cost)
where s.business_id = n.business_id and s.sale_id = n.sale_id;

-- name: delete_lines(business_ids, sale_ids)!
-- The lines of sales that are written anew.
delete from consumption_lines as l
using unnest(:business_ids::text[], :sale_ids::text[]) as gone (business_id, sale_id)
where l.business_id = gone.business_id and l.sale_id = gone.sale_id;

-- name: delete_consumptions(business_ids, sale_ids)!
-- What the lines of sales that are written anew held.
delete from consumptions as c
using unnest(:business_ids::text[], :sale_ids::text[]) as gone (business_id, sale_id)
where c.business_id = gone.business_id and c.sale_id = gone.sale_id;

-- name: delete_returned_goods(business_ids, sale_ids)!
-- What the return lines of documents that are written anew gave back.
delete from returned_goods as r
using unnest(:business_ids::text[], :sale_ids::text[]) as gone (business_id, sale_id)
where r.business_id = gone.business_id and r.sale_id = gone.sale_id;

-- name: list_products(business_id, after, count)
-- A page of products with their links, by id.
select p.product_id, p.name, p.sku, p.product_type, p.purchase_cost, p.stock_on_hand,
       (
           select sum(l.quantity_remaining * l.unit_cost) / sum(l.quantity_remaining)
           from lots as l
           where l.business_id = p.business_id
             and l.product_id = p.product_id
             and l.quantity_remaining > 0
       ) as open_average,
       p.last_average_cost,
       (
           select coalesce(
               jsonb_agg(
                   jsonb_build_object(
                       'connection_id', i.connection_id, 'item_external_id', i.item_external_id
                   )
                   order by i.connection_id, i.item_external_id
               ),
               '[]'
           )
           from item_links as i
           where i.business_id = p.business_id and i.product_id = p.product_id
       ) as item_links
from products as p
where p.business_id = :business_id and p.product_id > :after
order by p.product_id
limit :count;

-- name: find_product(business_id, product_id)
-- One product with its links.
select p.product_id, p.name, p.sku, p.product_type, p.purchase_cost, p.stock_on_hand,
       (
           select sum(l.quantity_remaining * l.unit_cost) / sum(l.quantity_remaining)
           from lots as l
           where l.business_id = p.business_id
             and l.product_id = p.product_id
             and l.quantity_remaining > 0
       ) as open_average,
       p.last_average_cost,
       (
           select coalesce(
               jsonb_agg(
                   jsonb_build_object(
                       'connection_id', i.connection_id, 'item_external_id', i.item_external_id
                   )
                   order by i.connection_id, i.item_external_id
               ),
               '[]'
           )
           from item_links as i
           where i.business_id = p.business_id and i.product_id = p.product_id
       ) as item_links
from products as p
where p.business_id = :business_id and p.product_id = :product_id;

-- name: list_lots_of_product(business_id, product_id, status, after_date, after_sequence, count)
-- A page of a product's lots in the order of taking; any status where none is asked for.
select l.lot_id, l.lot_number, l.product_id, l.received_on, l.sequence, l.quantity_received,
       l.quantity_remaining, l.unit_cost, l.return_sale_id,
       case
           when l.voided_at is not null then 'voided'
           when l.quantity_remaining > 0 then 'active'
           else 'exhausted'
       end as status
from lots as l
where l.business_id = :business_id
  and l.product_id = :product_id
  and (l.received_on, l.sequence) > (:after_date::date, :after_sequence::bigint)
  and (
      :status::text is null
      or :status = case
          when l.voided_at is not null then 'voided'
          when l.quantity_remaining > 0 then 'active'
          else 'exhausted'
      end
  )
order by l.received_on, l.sequence
limit :count;

-- name: list_stock_transactions(business_id, product_id, after, count)
-- A page of a product's stock transactions in the order in which they happened.
select t.stock_transaction_id, t.kind, t.lot_id, t.quantity, t.unit_cost, t.sale_id, t.revision,
       t.line_id, t.reason, t.at
from stock_transactions as t
where t.business_id = :business_id
  and t.product_id = :product_id
  and t.stock_transaction_id > :after
order by t.stock_transaction_id
limit :count;

-- name: list_stock_transactions_of_sale(business_id, sale_id, after, count)
-- A page of the stock transactions of a sale, over all its revisions, in their order.
select t.stock_transaction_id, t.product_id, t.kind, t.lot_id, t.quantity, t.unit_cost, t.sale_id,
       t.revision, t.line_id, t.reason, t.at, l.lot_number, l.received_on
from stock_transactions as t
left join lots as l using (business_id, lot_id)
where t.business_id = :business_id
  and t.sale_id = :sale_id
  and t.stock_transaction_id > :after
order by t.stock_transaction_id
limit :count;

-- name: find_lot(business_id, lot_id)^
-- One lot.
select l.lot_id, l.lot_number, l.product_id, l.received_on, l.sequence, l.quantity_received,
       l.quantity_remaining, l.unit_cost, l.return_sale_id,
       case
           when l.voided_at is not null then 'voided'
           when l.quantity_remaining > 0 then 'active'
           else 'exhausted'
       end as status
from lots as l
where l.business_id = :business_id and l.lot_id = :lot_id;

-- name: list_users_of_lot(business_id, lot_id)
-- The sale lines that hold goods of a lot, and what was given back of each, oldest sale first.
select c.sale_id, c.line_id, s.sale_date, s.revision, sum(c.quantity) as quantity,
       sum(c.quantity_returned) as returned, c.unit_cost
from consumptions as c
join sale_consumptions as s using (business_id, sale_id)
where c.business_id = :business_id and c.lot_id = :lot_id
group by c.sale_id, c.line_id, s.sale_date, s.sale_order, s.revision, c.unit_cost
order by s.sale_date, s.sale_order, c.line_id;

-- name: list_returns_to_lot(business_id, lot_id)
-- The return lines that gave goods to a lot, oldest first; a return lot's own has no source.
select r.sale_id, r.line_id, s.sale_date, s.revision, sum(r.quantity) as quantity, r.unit_cost,
       r.source_sale_id, r.source_line_id
from returned_goods as r
join sale_consumptions as s using (business_id, sale_id)
where r.business_id = :business_id and r.lot_id = :lot_id
group by r.sale_id, r.line_id, s.sale_date, s.sale_order, s.revision, r.unit_cost,
         r.source_sale_id, r.source_line_id
order by s.sale_date, s.sale_order, r.line_id, r.source_sale_id, r.source_line_id;

-- name: list_goods_totals(business_id)
-- Per product: the goods that documents hold, less what they gave back, and a number that only the
-- same parts make: each part's quantity times a digest of its document, line, lot and unit cost.
select part.business_id, part.product_id, trim_scale(sum(part.quantity)) as quantity,
       trim_scale(sum(part.quantity * ('x' || left(md5(
           part.sale_id || '/' || part.line_id || '/' || part.lot_id || '/'
           || trim_scale(part.unit_cost)
       ), 12))::bit(48)::bigint)) as digest
from (
    select c.business_id, l.product_id, c.sale_id, c.line_id, c.lot_id, c.quantity, c.unit_cost
    from consumptions as c
    join lots as l using (business_id, lot_id)
    where :business_id::text is null or c.business_id = :business_id
    union all
    select r.business_id, l.product_id, r.sale_id, r.line_id, coalesce(r.lot_id, ''), -r.quantity,
           r.unit_cost
    from returned_goods as r
    join consumption_lines as l using (business_id, sale_id, line_id)
    where :business_id::text is null or r.business_id = :business_id
    union all
    select l.business_id, l.product_id, l.sale_id, l.line_id, '',
           l.shortage_open + l.shortage_returned, l.shortage_unit_cost
    from consumption_lines as l
    where l.shortage_open + l.shortage_returned > 0
      and (:business_id::text is null or l.business_id = :business_id)
) as part
group by part.business_id, part.product_id
order by part.business_id, part.product_id;
