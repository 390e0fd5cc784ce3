-- The invariants of sales. Each query selects the rows that break one, so an empty answer is the
-- proof; its name begins with the invariant, its comment says what holds. No business means all.

-- name: i2_goods_of_lines(business_id)
-- per line of an active sale: taken from lots + short (open or returned while missing) = quantity;
-- of a return: what it gave back = quantity, unless its goods stay out
with line as (
    select line.business_id, line.sale_id, line.line_number, line.quantity,
        coalesce((line.shortage ->> 'open')::numeric, 0)
            + coalesce((line.shortage ->> 'returned')::numeric, 0) as short,
        coalesce(case jsonb_array_length(line.allocations)
            when 1 then (line.allocations #>> '{0,quantity}')::numeric
            else (
                select sum((part ->> 'quantity')::numeric)
                from jsonb_array_elements(line.allocations) as part
            )
        end, 0) as taken,
        case when line.returned is null then 0 else coalesce((
            select sum((part ->> 'quantity')::numeric)
            from jsonb_array_elements(line.returned) as part
        ), 0) end as given,
        'no-restock' = any(coalesce(line.flags, '{}')) as stays_out
    from sale_lines as line
    join sales as sale using (business_id, sale_id)
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
        sale.money_places as places,
        case
            when line.quantity < 0 then -coalesce((
                select sum((part ->> 'quantity')::numeric * (part ->> 'unit_cost')::numeric)
                from jsonb_array_elements(line.returned) as part
            ), 0)
            else coalesce(case jsonb_array_length(line.allocations)
                when 1 then (line.allocations #>> '{0,quantity}')::numeric
                    * (line.allocations #>> '{0,unit_cost}')::numeric
                else (
                    select sum((part ->> 'quantity')::numeric * (part ->> 'unit_cost')::numeric)
                    from jsonb_array_elements(line.allocations) as part
                )
            end, 0) + (
                coalesce((line.shortage ->> 'open')::numeric, 0)
                + coalesce((line.shortage ->> 'returned')::numeric, 0)
            ) * coalesce((line.shortage ->> 'unit_cost')::numeric, 0)
        end as exact
    from sale_lines as line
    join sales as sale using (business_id, sale_id)
    where (:business_id::text is null or line.business_id = :business_id)
      and sale.status = 'active'
      and line.product_id is not null
)
select business_id, sale_id, line_number, cost, round(exact, places) as expected
from line
where cost <> round(exact, places);

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

-- name: i5_goods_of_voided(business_id)
-- only what is active holds goods: a voided or waiting sale has no lots, shortage, cost or revenue
select sale.business_id, sale.sale_id, sale.status, sale.revenue, sale.cost, line.line_number,
    line.allocations, line.shortage, line.returned
from sales as sale
left join sale_lines as line
    on line.business_id = sale.business_id
    and line.sale_id = sale.sale_id
    and (
        jsonb_array_length(coalesce(line.allocations, '[]')) > 0
        or jsonb_array_length(coalesce(line.returned, '[]')) > 0
        or line.shortage is not null
        or line.cost <> 0
    )
where (:business_id::text is null or sale.business_id = :business_id)
  and sale.status <> 'active'
  and (sale.revenue <> 0 or sale.cost <> 0 or line.line_number is not null);

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

-- name: i6_earlier_versions(business_id)
-- the version of a sale never goes down, from each that was shown to the next
select business_id, sale_id, revision, costing, version, before as version_before
from (
    select business_id, sale_id, revision, costing, version,
        lag(version) over (
            partition by business_id, sale_id order by revision, costing
        ) as before
    from (
        select business_id, sale_id, revision, costing, version
        from sale_revisions
        where :business_id::text is null or business_id = :business_id
        union all
        select sale.business_id, sale.sale_id, sale.costed_revision, sale.costing, sale.version
        from sales as sale
        where (:business_id::text is null or sale.business_id = :business_id)
          and exists (
              select from sale_revisions as earlier
              where earlier.business_id = sale.business_id and earlier.sale_id = sale.sale_id
          )
    ) as each
) as shown
where version < before;

-- name: i7_summaries(business_id)
-- created + updated + voided + skipped + errors = received
select business_id, sync_id, summary ->> 'received' as received, summary ->> 'created' as created,
    summary ->> 'updated' as updated, summary ->> 'voided' as voided,
    summary ->> 'skipped_total' as skipped, jsonb_array_length(summary -> 'errors') as errors
from sync_runs
where summary is not null
  and (:business_id::text is null or business_id = :business_id)
  and (summary ->> 'created')::integer + (summary ->> 'updated')::integer
      + (summary ->> 'voided')::integer + (summary ->> 'skipped_total')::integer
      + jsonb_array_length(summary -> 'errors')
      is distinct from (summary ->> 'received')::integer;

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

-- name: i10_reasons_of_entries(business_id)
-- every transaction of a run was applied, or says why it was skipped or could not be
select business_id, sync_id, retried, sequence, sale_id, outcome, skipped_reason, error
from sync_entries
where (:business_id::text is null or business_id = :business_id)
  and (
      (outcome = 'skipped') <> (skipped_reason is not null)
      or (outcome = 'error') <> (error is not null)
      or outcome is null
  );

-- name: i10_drafts(business_id)
-- what waits for a cost was asked of inventory at a revision of its own, and only that waits
select business_id, sale_id, status, revision, costed_revision, draft is not null as has_draft,
    pending_sync_id
from sales
where (:business_id::text is null or business_id = :business_id)
  and (
      (draft is null) <> (revision = costed_revision)
      or revision < costed_revision
      or (draft is null and (pending_sync_id is not null or status = 'costing'))
  );

-- name: i11_earlier_revisions(business_id)
-- what was shown before is of an earlier revision, or of an earlier cost of the same
select earlier.business_id, earlier.sale_id, earlier.revision, earlier.costing,
    sale.costed_revision as shown_revision, sale.costing as shown_costing
from sale_revisions as earlier
left join sales as sale using (business_id, sale_id)
where (:business_id::text is null or earlier.business_id = :business_id)
  and (
      sale.sale_id is null
      or (earlier.revision, earlier.costing) >= (sale.costed_revision, sale.costing)
  );

-- name: i11_entries(business_id)
-- every sale that a run brought is there, or its tombstone, at that version or a newer one
select entry.business_id, entry.sync_id, entry.sequence, entry.sale_id, entry.version, entry.outcome,
    sale.seen_version
from sync_entries as entry
left join sales as sale using (business_id, sale_id)
where (:business_id::text is null or entry.business_id = :business_id)
  and entry.outcome <> 'skipped'
  and (sale.sale_id is null or sale.seen_version < entry.version);

-- name: i12_one_business(business_id)
-- what a row names is of its own business: its sale, product, channel and run
select 'line' as row, line.business_id, line.sale_id, line.line_number::text as place,
    'product ' || line.product_id as names
from sale_lines as line
left join products as product using (business_id, product_id)
where (:business_id::text is null or line.business_id = :business_id)
  and line.product_id is not null
  and product.product_id is null
union all
select 'line', line.business_id, line.sale_id, line.line_number::text, 'sale ' || line.sale_id
from sale_lines as line
left join sales as sale using (business_id, sale_id)
where (:business_id::text is null or line.business_id = :business_id)
  and sale.sale_id is null
union all
select 'sale', sale.business_id, sale.sale_id, null, 'channel ' || sale.channel_id
from sales as sale
left join channels as channel using (business_id, channel_id)
where (:business_id::text is null or sale.business_id = :business_id)
  and channel.channel_id is null
  and exists (select from channels as other where other.channel_id = sale.channel_id)
union all
select 'entry', entry.business_id, entry.sale_id, entry.sequence::text, 'run ' || entry.sync_id
from sync_entries as entry
left join sync_runs as run using (business_id, sync_id)
where (:business_id::text is null or entry.business_id = :business_id)
  and run.sync_id is null;
