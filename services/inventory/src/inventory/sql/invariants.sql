-- The invariants of stock. Each query selects the rows that break one, so an empty answer is the
-- proof; its name begins with the invariant, its comment says what holds. No business means all.

-- name: i1_balances(business_id)
-- per lot: received + adjusted - voided + returned - consumed = remaining
select l.business_id, l.lot_id, l.quantity_remaining,
       l.quantity_received + l.quantity_adjusted - l.quantity_voided
         + coalesce(back.quantity, 0) - coalesce(held.quantity, 0) as expected
from lots as l
left join (
    select c.business_id, c.lot_id, sum(c.quantity) as quantity
    from consumptions as c
    where (:business_id::text is null or c.business_id = :business_id)
    group by c.business_id, c.lot_id
) as held using (business_id, lot_id)
left join (
    select r.business_id, r.lot_id, sum(r.quantity) as quantity
    from returned_goods as r
    where r.source_sale_id is not null
      and (:business_id::text is null or r.business_id = :business_id)
    group by r.business_id, r.lot_id
) as back using (business_id, lot_id)
where (:business_id::text is null or l.business_id = :business_id)
  and (
      l.quantity_remaining <> l.quantity_received + l.quantity_adjusted
        - l.quantity_voided + coalesce(back.quantity, 0) - coalesce(held.quantity, 0)
      or l.quantity_remaining < 0
  );

-- name: i1_return_lots(business_id)
-- per return lot: received = what its document gives into it
select l.business_id, l.lot_id, l.quantity_received, coalesce(given.quantity, 0) as expected
from lots as l
left join (
    select r.business_id, r.lot_id, sum(r.quantity) as quantity
    from returned_goods as r
    where r.source_sale_id is null and (:business_id::text is null or r.business_id = :business_id)
    group by r.business_id, r.lot_id
) as given using (business_id, lot_id)
where (:business_id::text is null or l.business_id = :business_id)
  and (l.return_sale_id is not null or given.quantity is not null)
  and (
      l.return_sale_id is null or l.quantity_received <> coalesce(given.quantity, 0)
  );

-- name: i2_goods_of_lines(business_id)
-- per line: consumptions + shortage = quantity; of a return: what it gave back
select l.business_id, l.sale_id, l.line_id, l.quantity, l.shortage_open,
       l.shortage_returned, coalesce(held.quantity, 0) as consumed,
       coalesce(given.quantity, 0) as given_back
from consumption_lines as l
left join (
    select c.business_id, c.sale_id, c.line_id, sum(c.quantity) as quantity
    from consumptions as c
    where (:business_id::text is null or c.business_id = :business_id)
    group by c.business_id, c.sale_id, c.line_id
) as held using (business_id, sale_id, line_id)
left join (
    select r.business_id, r.sale_id, r.line_id, sum(r.quantity) as quantity
    from returned_goods as r
    where (:business_id::text is null or r.business_id = :business_id)
    group by r.business_id, r.sale_id, r.line_id
) as given using (business_id, sale_id, line_id)
where (:business_id::text is null or l.business_id = :business_id)
  and coalesce(held.quantity, 0) + l.shortage_open + l.shortage_returned
    - coalesce(given.quantity, 0) <> l.quantity;

-- name: i3_cost_of_lines(business_id)
-- line cost = sum of quantity x unit cost + shortage x average, rounded once
select l.business_id, l.sale_id, l.line_id, l.cost,
       round(coalesce(held.cost, 0) - coalesce(given.cost, 0)
         + (l.shortage_open + l.shortage_returned) * l.shortage_unit_cost, l.places) as expected
from consumption_lines as l
left join (
    select c.business_id, c.sale_id, c.line_id, sum(c.quantity * c.unit_cost) as cost
    from consumptions as c
    where (:business_id::text is null or c.business_id = :business_id)
    group by c.business_id, c.sale_id, c.line_id
) as held using (business_id, sale_id, line_id)
left join (
    select r.business_id, r.sale_id, r.line_id, sum(r.quantity * r.unit_cost) as cost
    from returned_goods as r
    where (:business_id::text is null or r.business_id = :business_id)
    group by r.business_id, r.sale_id, r.line_id
) as given using (business_id, sale_id, line_id)
where (:business_id::text is null or l.business_id = :business_id)
  and l.cost <> round(coalesce(held.cost, 0) - coalesce(given.cost, 0)
    + (l.shortage_open + l.shortage_returned) * l.shortage_unit_cost, l.places);

-- name: i3_cost_of_sales(business_id)
-- sale cost = sum of its line costs
select s.business_id, s.sale_id, s.cost, coalesce(lines.cost, 0) as expected
from sale_consumptions as s
left join (
    select l.business_id, l.sale_id, sum(l.cost) as cost
    from consumption_lines as l
    where (:business_id::text is null or l.business_id = :business_id)
    group by l.business_id, l.sale_id
) as lines using (business_id, sale_id)
where (:business_id::text is null or s.business_id = :business_id)
  and s.cost <> coalesce(lines.cost, 0);

-- name: i4_stock_on_hand(business_id)
-- stock on hand = sum of transactions = remaining - open shortages, never both above 0
select p.business_id, p.product_id, p.stock_on_hand,
       coalesce(moved.quantity, 0) as transactions,
       coalesce(lot.remaining, 0) as remaining,
       coalesce(short.quantity, 0) as short
from products as p
left join (
    select t.business_id, t.product_id, sum(t.quantity) as quantity
    from stock_transactions as t
    where (:business_id::text is null or t.business_id = :business_id)
    group by 1, 2
) as moved using (business_id, product_id)
left join (
    select l.business_id, l.product_id, sum(l.quantity_remaining) as remaining
    from lots as l
    where (:business_id::text is null or l.business_id = :business_id)
    group by 1, 2
) as lot using (business_id, product_id)
left join (
    select c.business_id, c.product_id, sum(c.shortage_open) as quantity
    from consumption_lines as c
    where c.shortage_open > 0
      and (:business_id::text is null or c.business_id = :business_id)
    group by 1, 2
) as short using (business_id, product_id)
where (:business_id::text is null or p.business_id = :business_id)
  and (
      p.stock_on_hand <> coalesce(moved.quantity, 0)
      or p.stock_on_hand <> coalesce(lot.remaining, 0) - coalesce(short.quantity, 0)
      or (coalesce(lot.remaining, 0) > 0 and coalesce(short.quantity, 0) > 0)
  );

-- name: i4_balances_of_lots(business_id)
-- per lot: remaining = sum of its stock transactions
select l.business_id, l.lot_id, l.quantity_remaining,
       coalesce(moved.quantity, 0) as transactions
from lots as l
left join (
    select t.business_id, t.lot_id, sum(t.quantity) as quantity
    from stock_transactions as t
    where t.lot_id is not null
      and (:business_id::text is null or t.business_id = :business_id)
    group by 1, 2
) as moved using (business_id, lot_id)
where (:business_id::text is null or l.business_id = :business_id)
  and l.quantity_remaining <> coalesce(moved.quantity, 0);

-- name: i5_goods_of_documents(business_id)
-- a document's transactions took of each lot what it holds now; nothing if it was voided
select business_id, sale_id, nullif(lot_id, '') as lot_id, moved.quantity as taken,
       held.quantity as held
from (
    select t.business_id, t.sale_id, coalesce(t.lot_id, '') as lot_id,
           -sum(t.quantity) as quantity
    from stock_transactions as t
    where t.sale_id is not null
      and (:business_id::text is null or t.business_id = :business_id)
    group by 1, 2, 3
) as moved
full join (
    select each.business_id, each.sale_id, each.lot_id, sum(each.quantity) as quantity
    from (
        select c.business_id, c.sale_id, c.lot_id, c.quantity
        from consumptions as c
        where (:business_id::text is null or c.business_id = :business_id)
        union all
        select r.business_id, r.sale_id, coalesce(r.lot_id, ''), -r.quantity
        from returned_goods as r
        where (:business_id::text is null or r.business_id = :business_id)
        union all
        select l.business_id, l.sale_id, '', l.shortage_open + l.shortage_returned
        from consumption_lines as l
        where l.shortage_quantity > 0
          and (:business_id::text is null or l.business_id = :business_id)
    ) as each
    group by 1, 2, 3
) as held using (business_id, sale_id, lot_id)
where coalesce(moved.quantity, 0) <> coalesce(held.quantity, 0);

-- name: i5_marks_of_returns(business_id)
-- no line has more returned than taken: what returns say that they gave back is marked
select business_id, source_sale_id, source_line_id, nullif(lot_id, '') as lot_id, unit_cost,
       given.quantity as given_back, marked.quantity as marked
from (
    select r.business_id, r.source_sale_id, r.source_line_id,
           coalesce(r.lot_id, '') as lot_id, r.unit_cost, sum(r.quantity) as quantity
    from returned_goods as r
    where r.source_sale_id is not null
      and (:business_id::text is null or r.business_id = :business_id)
    group by 1, 2, 3, 4, 5
) as given
full join (
    select each.business_id, each.sale_id as source_sale_id,
           each.line_id as source_line_id, each.lot_id, each.unit_cost,
           sum(each.quantity) as quantity
    from (
        select c.business_id, c.sale_id, c.line_id, c.lot_id, c.unit_cost,
               c.quantity_returned as quantity
        from consumptions as c
        where c.quantity_returned > 0
          and (:business_id::text is null or c.business_id = :business_id)
        union all
        select l.business_id, l.sale_id, l.line_id, '', l.shortage_unit_cost,
               l.shortage_returned
        from consumption_lines as l
        where l.shortage_returned > 0
          and (:business_id::text is null or l.business_id = :business_id)
    ) as each
    group by 1, 2, 3, 4, 5
) as marked using (business_id, source_sale_id, source_line_id, lot_id, unit_cost)
where coalesce(given.quantity, 0) <> coalesce(marked.quantity, 0);

-- name: i5_returned_of_lines(business_id)
-- per line: what was given back is what its parts say, and no more than it took
select l.business_id, l.sale_id, l.line_id, l.quantity, l.quantity_returned,
       l.shortage_returned + coalesce(held.returned, 0) as expected
from consumption_lines as l
left join (
    select c.business_id, c.sale_id, c.line_id, sum(c.quantity_returned) as returned
    from consumptions as c
    where c.quantity_returned > 0
          and (:business_id::text is null or c.business_id = :business_id)
    group by 1, 2, 3
) as held using (business_id, sale_id, line_id)
where (:business_id::text is null or l.business_id = :business_id)
  and (
      l.quantity_returned <> l.shortage_returned + coalesce(held.returned, 0)
      or l.quantity_returned > greatest(l.quantity, 0)
  );

-- name: i8_order_of_taking(business_id)
-- no younger lot was taken from while an older one was open, at that point of the applied order;
-- a re-costing takes by the calendar: its rows count for what was open, and are not judged
with step as (
    select t.business_id, t.lot_id, t.stock_transaction_id as at, t.quantity,
           sum(t.quantity) over (
               partition by t.business_id, t.lot_id order by t.stock_transaction_id
           ) as balance
    from stock_transactions as t
    where t.lot_id is not null
      and (:business_id::text is null or t.business_id = :business_id)
),
turn as (
    select business_id, lot_id, at, balance > 0 as opens,
           lead(at) over (partition by business_id, lot_id order by at) as until
    from step
    where (balance > 0) <> (balance - quantity > 0)
),
open as (
    select business_id, lot_id, range_agg(int8range(at, until, '(]')) as spans
    from turn
    where opens
    group by business_id, lot_id
),
older as (
    select l.business_id, l.lot_id,
           union_of_ranges(coalesce(open.spans, '{}')) over (
               partition by l.business_id, l.product_id
               order by l.received_on, l.sequence, l.lot_id
               rows between unbounded preceding and 1 preceding
           ) as spans
    from lots as l
    left join open using (business_id, lot_id)
    where (:business_id::text is null or l.business_id = :business_id)
)
select t.business_id, t.product_id, t.stock_transaction_id, t.sale_id, t.line_id, t.lot_id,
       (
           select first.lot_id
           from open
           join lots as first using (business_id, lot_id)
           where first.business_id = t.business_id
             and first.product_id = t.product_id
             and open.spans @> t.stock_transaction_id
           order by first.received_on, first.sequence, first.lot_id
           limit 1
       ) as older_open_lot
from stock_transactions as t
join older using (business_id, lot_id)
where (:business_id::text is null or t.business_id = :business_id)
  and t.kind = 'sale'
  and t.reason is distinct from 'recosted'
  and older.spans @> t.stock_transaction_id;

-- name: i9_guard(business_id)
-- stock transactions can't be changed: the guard against update, delete and truncate is on
select 'append_only' as trigger, trigger.tgenabled::text as enabled
from (select) as always
left join pg_trigger as trigger
    on trigger.tgrelid = 'stock_transactions'::regclass and trigger.tgname = 'append_only'
left join pg_proc as guard on guard.oid = trigger.tgfoid
where (:business_id::text is null or true)
  and (
      trigger.tgenabled not in ('O', 'A')
      -- before (2) each statement that deletes (8), updates (16) or truncates (32)
      or trigger.tgtype & 63 <> 58
      or guard.prosrc !~ '^\s*begin\s+raise exception '
      or trigger.oid is null
  );

-- name: i9_numbers(business_id)
-- no stock transaction has a number that its sequence has not given yet
select t.business_id, t.stock_transaction_id, given.last_value as last_given
from pg_sequences as given
join stock_transactions as t on t.stock_transaction_id > coalesce(given.last_value, 0)
where given.schemaname = current_schema()
  and given.sequencename = 'stock_transactions_stock_transaction_id_seq'
  and (:business_id::text is null or t.business_id = :business_id);

-- name: i11_lots(business_id)
-- what a lot says that it received, adjusted and voided is what its transactions say
select l.business_id, l.lot_id, l.quantity_received, said.received as received_by_transactions,
       l.quantity_adjusted, coalesce(said.adjusted, 0) as adjusted_by_transactions,
       l.quantity_voided, coalesce(said.voided, 0) as voided_by_transactions
from lots as l
left join (
    select t.business_id, t.lot_id,
           sum(t.quantity) filter (where t.kind = 'receipt') as received,
           sum(t.quantity) filter (where t.kind = 'adjustment') as adjusted,
           -sum(t.quantity) filter (where t.kind = 'lot-void') as voided
    from stock_transactions as t
    where t.kind in ('receipt', 'adjustment', 'lot-void')
      and (:business_id::text is null or t.business_id = :business_id)
    group by t.business_id, t.lot_id
) as said using (business_id, lot_id)
where (:business_id::text is null or l.business_id = :business_id)
  and (
      (l.return_sale_id is null and said.received is distinct from l.quantity_received)
      or (l.return_sale_id is not null and said.received is not null)
      or l.quantity_adjusted <> coalesce(said.adjusted, 0)
      or l.quantity_voided <> coalesce(said.voided, 0)
  );

-- name: i11_adjustments(business_id)
-- per lot: the adjustments recorded are those among its transactions
select business_id, lot_id, recorded.quantity as recorded, said.quantity as by_transactions
from (
    select a.business_id, a.lot_id, sum(a.quantity) as quantity
    from adjustments as a
    where :business_id::text is null or a.business_id = :business_id
    group by a.business_id, a.lot_id
) as recorded
full join (
    select t.business_id, t.lot_id, sum(t.quantity) as quantity
    from stock_transactions as t
    where t.kind = 'adjustment'
      and t.reason is distinct from 'return-taken-off'
      and (:business_id::text is null or t.business_id = :business_id)
    group by t.business_id, t.lot_id
) as said using (business_id, lot_id)
where coalesce(recorded.quantity, 0) <> coalesce(said.quantity, 0);

-- name: i11_products(business_id)
-- a product has recorded as many lots as there are, and counted every operation that took or gave
select p.business_id, p.product_id, p.lots_recorded, coalesce(lot.lots, 0) as lots, p.operations,
       greatest(taken.last, given.last) as last_operation
from products as p
left join (
    select l.business_id, l.product_id, count(*) as lots, max(l.sequence) as last
    from lots as l
    where :business_id::text is null or l.business_id = :business_id
    group by l.business_id, l.product_id
) as lot using (business_id, product_id)
left join (
    select l.business_id, l.product_id, max(c.taken) as last
    from consumptions as c
    join lots as l using (business_id, lot_id)
    where :business_id::text is null or c.business_id = :business_id
    group by l.business_id, l.product_id
) as taken using (business_id, product_id)
left join (
    select l.business_id, l.product_id, max(r.given) as last
    from returned_goods as r
    join consumption_lines as l using (business_id, sale_id, line_id)
    where :business_id::text is null or r.business_id = :business_id
    group by l.business_id, l.product_id
) as given using (business_id, product_id)
where (:business_id::text is null or p.business_id = :business_id)
  and (
      p.lots_recorded <> coalesce(lot.lots, 0)
      or p.lots_recorded <> coalesce(lot.last, 0)
      or p.operations < greatest(taken.last, given.last)
  );

-- name: i11_revisions(business_id)
-- no document moved goods at a revision newer than the one that it holds
select s.business_id, s.sale_id, s.revision, moved.revision as revision_of_transactions
from (
    select t.business_id, t.sale_id, max(t.revision) as revision
    from stock_transactions as t
    where t.sale_id is not null
      and (:business_id::text is null or t.business_id = :business_id)
    group by t.business_id, t.sale_id
) as moved
left join sale_consumptions as s using (business_id, sale_id)
where s.revision is null or s.revision < moved.revision;

-- name: i12_one_business(business_id)
-- what a line holds is of its own product and business, and every part has its whole
select 'consumption' as row, c.business_id, c.sale_id, c.line_id, c.lot_id,
       lot.product_id as product_of_lot, line.product_id as product_of_line
from consumptions as c
left join lots as lot using (business_id, lot_id)
left join consumption_lines as line using (business_id, sale_id, line_id)
where (:business_id::text is null or c.business_id = :business_id)
  and lot.product_id is distinct from line.product_id
union all
select 'return', r.business_id, r.sale_id, r.line_id, r.lot_id, lot.product_id,
       line.product_id
from returned_goods as r
left join lots as lot using (business_id, lot_id)
left join consumption_lines as line using (business_id, sale_id, line_id)
left join consumption_lines as source
  on source.business_id = r.business_id
  and source.sale_id = r.source_sale_id
  and source.line_id = r.source_line_id
where (:business_id::text is null or r.business_id = :business_id)
  and (
      line.product_id is null
      or (r.lot_id is not null and lot.product_id is distinct from line.product_id)
      or (
          r.source_sale_id is not null
          and source.product_id is distinct from line.product_id
      )
  )
union all
select 'transaction', t.business_id, t.sale_id, t.line_id, t.lot_id, lot.product_id,
       t.product_id
from stock_transactions as t
left join lots as lot using (business_id, lot_id)
where (:business_id::text is null or t.business_id = :business_id)
  and t.lot_id is not null
  and lot.product_id is distinct from t.product_id
union all
select 'line', l.business_id, l.sale_id, l.line_id, null, null, l.product_id
from consumption_lines as l
left join sale_consumptions as s using (business_id, sale_id)
left join products as p using (business_id, product_id)
where (:business_id::text is null or l.business_id = :business_id)
  and (s.sale_id is null or p.product_id is null);
