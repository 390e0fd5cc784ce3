-- The invariants of sales. Each query selects the rows that break one, so an empty answer is the
-- proof; its name begins with the invariant, its comment says what holds. No business means all.

-- name: i2_goods_of_lines(business_id)
-- per line of an active sale: taken from lots + short (open or returned while missing) = quantity;
-- of a return: what it gave back = quantity, unless its goods stay out
with line as (
    select line.business_id, line.sale_id, line.line_number, line.quantity,
        coalesce((line.shortage ->> 'open')::numeric, 0)
            + coalesce((line.shortage ->> 'returned')::numeric, 0) as short,
        coalesce(taken.quantity, 0) as taken,
        coalesce(given.quantity, 0) as given,
        'no-restock' = any(coalesce(line.flags, '{}')) as stays_out
    from sale_lines as line
    join sales as sale using (business_id, sale_id)
    left join lateral (
        select sum((part ->> 'quantity')::numeric) as quantity
        from jsonb_array_elements(line.allocations) as part
    ) as taken on true
    left join lateral (
        select sum((part ->> 'quantity')::numeric) as quantity
        from jsonb_array_elements(line.returned) as part
    ) as given on true
    where (:business_id::text is null or line.business_id = :business_id)
      and sale.status = 'active'
      and line.product_id is not null
)
select business_id, sale_id, line_number, quantity, taken, short, given
from line
where case
    when stays_out then quantity >= 0 or taken <> 0 or short <> 0 or given <> 0
    when quantity < 0 then given + quantity <> 0
    else taken + short <> coalesce(quantity, 0)
end;

-- name: i3_cost_of_lines(business_id)
-- line cost = sum of quantity x unit cost + shortage x average, rounded once; negative for returns
with line as (
    select line.business_id, line.sale_id, line.line_number, line.cost,
        case
            when line.quantity < 0 then -coalesce(given.cost, 0)
            else coalesce(taken.cost, 0)
                + (
                    coalesce((line.shortage ->> 'open')::numeric, 0)
                    + coalesce((line.shortage ->> 'returned')::numeric, 0)
                ) * coalesce((line.shortage ->> 'unit_cost')::numeric, 0)
        end as exact
    from sale_lines as line
    join sales as sale using (business_id, sale_id)
    left join lateral (
        select sum((part ->> 'quantity')::numeric * (part ->> 'unit_cost')::numeric) as cost
        from jsonb_array_elements(line.allocations) as part
    ) as taken on true
    left join lateral (
        select sum((part ->> 'quantity')::numeric * (part ->> 'unit_cost')::numeric) as cost
        from jsonb_array_elements(line.returned) as part
    ) as given on true
    where (:business_id::text is null or line.business_id = :business_id)
      and sale.status = 'active'
      and line.product_id is not null
)
select business_id, sale_id, line_number, cost, round(exact, 2) as expected
from line
where cost <> round(exact, 2);

-- name: i3_totals_of_sales(business_id)
-- the lines of a sale add up to its revenue and cost; voided and waiting ones have none
select sale.business_id, sale.sale_id, sale.revenue, sale.cost, lines.revenue
    as revenue_of_lines, lines.cost as cost_of_lines
from sales as sale
left join (
    select business_id, sale_id, sum(revenue) as revenue, sum(cost) as cost
    from sale_lines
    where :business_id::text is null or business_id = :business_id
    group by business_id, sale_id
) as lines using (business_id, sale_id)
where (:business_id::text is null or sale.business_id = :business_id)
  and (
      sale.revenue <> coalesce(lines.revenue, 0) or sale.cost <> coalesce(lines.cost, 0)
  );

-- name: i6_one_sale_per_document(business_id)
-- one sale for each channel, kind and external id
select business_id, channel_id, kind, external_id, count(*)::integer as sales
from sales
where external_id is not null and (:business_id::text is null or business_id = :business_id)
group by business_id, channel_id, kind, external_id
having count(*) > 1;

-- name: i6_versions(business_id)
-- what is shown or waits is no newer than the newest version seen; no tombstone beside a sale
select sale.business_id, sale.sale_id, sale.seen_version, sale.version,
    waiting.version as waiting_version, tombstone.version as tombstone_version
from sales as sale
left join waiting_versions as waiting using (business_id, sale_id)
left join tombstones as tombstone using (business_id, sale_id)
where (:business_id::text is null or sale.business_id = :business_id)
  and (
      sale.version > sale.seen_version
      or waiting.version > sale.seen_version
      or tombstone.version is not null
  );

-- name: i7_counts_of_runs(business_id)
-- the counts of a completed run add up and are those of its transactions
select run.business_id, run.sync_id, run.received, run.retried, run.pending,
    entries.received as entries_received, entries.retried as entries_retried,
    (run.summary ->> 'received')::integer as summary_received
from sync_runs as run
left join (
    select business_id, sync_id, count(*) filter (where not retried) as received,
        count(*) filter (where retried) as retried,
        count(*) filter (where outcome = 'created') as created,
        count(*) filter (where outcome = 'updated') as updated,
        count(*) filter (where outcome = 'voided') as voided,
        count(*) filter (where outcome = 'error') as errors
    from sync_entries
    where :business_id::text is null or business_id = :business_id
    group by business_id, sync_id
) as entries using (business_id, sync_id)
where (:business_id::text is null or run.business_id = :business_id)
  and (
      run.received <> coalesce(entries.received, 0)
      or run.retried <> coalesce(entries.retried, 0)
      or (
          run.phase = 'completed'
          and (
              run.pending <> 0
              or (run.summary ->> 'received')::integer
                  <> run.received + run.retried + run.unchanged
                  + jsonb_array_length(run.failures)
              or (run.summary ->> 'created')::integer <> coalesce(entries.created, 0)
              or (run.summary ->> 'updated')::integer <> coalesce(entries.updated, 0)
              or (run.summary ->> 'voided')::integer <> coalesce(entries.voided, 0)
              or jsonb_array_length(run.summary -> 'errors')
                  <> coalesce(entries.errors, 0) + jsonb_array_length(run.failures)
          )
      )
  );

-- name: i7_pending_of_runs(business_id)
-- a run waits for as many costs as sales wait for it
select business_id, sync_id, run.pending, coalesce(waiting.sales, 0) as sales
from sync_runs as run
full join (
    select business_id, pending_sync_id as sync_id, count(*) as sales
    from sales
    where pending_sync_id is not null and (:business_id::text is null or business_id = :business_id)
    group by business_id, pending_sync_id
) as waiting using (business_id, sync_id)
where (:business_id::text is null or business_id = :business_id)
  and coalesce(run.pending, 0) <> coalesce(waiting.sales, 0);

-- name: i10_reasons_of_waiting(business_id)
-- every sale that waits says with what and why, and only those
select sale.business_id, sale.sale_id, sale.status, sale.update_waiting,
    waiting.version as waiting_version
from sales as sale
left join waiting_versions as waiting using (business_id, sale_id)
where (:business_id::text is null or sale.business_id = :business_id)
  and (sale.status = 'waiting' or sale.update_waiting) <> (waiting.version is not null);
