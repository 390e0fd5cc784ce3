-- name: lock_links_shared(business_ids)
-- Keep the item links of these businesses as they are while documents are matched to them.
select pg_advisory_xact_lock_shared(1, hashtext(business_id))
from unnest(:business_ids::text[]) as business_id
order by business_id;

-- name: lock_links(business_ids)
-- Wait until no document is being matched to the item links of these businesses.
select pg_advisory_xact_lock(1, hashtext(business_id))
from unnest(:business_ids::text[]) as business_id
order by business_id;

-- name: save_channels(business_ids, channel_ids, channel_types, statuses, connection_ids, settings, instants)!
-- Channels as described; an older description than the stored one changes nothing.
insert into channels as stored (
    business_id, channel_id, channel_type, status, connection_id, settings, changed_at
)
select business_id, channel_id, channel_type, status, connection_id, settings, changed_at
from unnest(
    :business_ids::text[], :channel_ids::text[], :channel_types::text[], :statuses::text[],
    :connection_ids::text[], :settings::jsonb[], :instants::timestamptz[]
) as changed (
    business_id, channel_id, channel_type, status, connection_id, settings, changed_at
)
on conflict (business_id, channel_id) do update
set channel_type = excluded.channel_type,
    status = excluded.status,
    connection_id = excluded.connection_id,
    settings = excluded.settings,
    changed_at = excluded.changed_at
where stored.changed_at <= excluded.changed_at;

-- name: find_returns(business_ids, channel_ids)
-- Where the goods go that documents of these channels give back.
select channel.business_id, channel.channel_id, channel.settings ->> 'returns' as returns
from unnest(:business_ids::text[], :channel_ids::text[]) as wanted (business_id, channel_id)
join channels as channel using (business_id, channel_id)
where channel.settings ->> 'returns' is not null;

-- name: save_products(business_ids, product_ids, names, skus, product_types, versions)
-- Products as described, those only that are newer than what is stored; returns these.
insert into products as stored (business_id, product_id, name, sku, product_type, version)
select business_id, product_id, name, sku, product_type, version
from unnest(
    :business_ids::text[], :product_ids::text[], :names::text[], :skus::text[],
    :product_types::text[], :versions::bigint[]
) as changed (business_id, product_id, name, sku, product_type, version)
order by business_id, product_id
on conflict (business_id, product_id) do update
set name = excluded.name,
    sku = excluded.sku,
    product_type = excluded.product_type,
    version = excluded.version
where stored.version < excluded.version
returning business_id, product_id;

-- name: delete_links(business_ids, product_ids, connection_ids, item_external_ids)!
-- Links of these products (the first pair of lists, product by product) that they no longer have.
delete from item_links as stored
using (
    select distinct business_id, product_id
    from unnest(:business_ids::text[], :product_ids::text[]) as changed (business_id, product_id)
) as changed
where stored.business_id = changed.business_id
  and stored.product_id = changed.product_id
  and not exists (
      select
      from unnest(
          :business_ids::text[], :product_ids::text[], :connection_ids::text[],
          :item_external_ids::text[]
      ) as kept (business_id, product_id, connection_id, item_external_id)
      where kept.business_id = stored.business_id
        and kept.product_id = stored.product_id
        and kept.connection_id = stored.connection_id
        and kept.item_external_id = stored.item_external_id
  );

-- name: save_links(business_ids, connection_ids, item_external_ids, product_ids, instants)!
-- Links that products have; one that is known keeps the time of its claim.
insert into item_links (business_id, connection_id, item_external_id, product_id, claimed_at)
select business_id, connection_id, item_external_id, product_id, claimed_at
from unnest(
    :business_ids::text[], :connection_ids::text[], :item_external_ids::text[],
    :product_ids::text[], :instants::timestamptz[]
) as changed (business_id, connection_id, item_external_id, product_id, claimed_at)
on conflict (business_id, connection_id, item_external_id, product_id) do nothing;

-- name: find_links(business_ids, connection_ids, item_external_ids)
-- The products that these items are linked to; of two claims the newest.
select distinct on (link.business_id, link.connection_id, link.item_external_id)
    link.business_id, link.connection_id, link.item_external_id, product.product_id, product.name,
    product.product_type
from unnest(:business_ids::text[], :connection_ids::text[], :item_external_ids::text[])
    as wanted (business_id, connection_id, item_external_id)
join item_links as link using (business_id, connection_id, item_external_id)
join products as product
    on product.business_id = link.business_id and product.product_id = link.product_id
order by link.business_id, link.connection_id, link.item_external_id, link.claimed_at desc,
    link.product_id;

-- name: find_products(business_ids, product_ids)
-- These products.
select product.business_id, product.product_id, product.name, product.product_type
from unnest(:business_ids::text[], :product_ids::text[]) as wanted (business_id, product_id)
join products as product using (business_id, product_id);

-- name: list_healed_sales(business_ids, product_ids, limit)
-- Waiting sales that lack an item which one of these products is now linked to, in the order of a
-- sync, where the channel wants them tried again at once.
select waiting.business_id, waiting.sale_id, waiting.channel_id
from waiting_versions as waiting
left join channels as channel using (business_id, channel_id)
where (waiting.business_id, waiting.sale_id) in (
    select missing.business_id, missing.sale_id
    from unnest(:business_ids::text[], :product_ids::text[]) as changed (business_id, product_id)
    join item_links as link using (business_id, product_id)
    join missing_items as missing using (business_id, connection_id, item_external_id)
)
and coalesce((channel.settings ->> 'heal_on_link')::boolean, true)
order by waiting.sale_date, waiting.created_at, length(waiting.order_id),
    waiting.order_id collate "C", waiting.business_id, waiting.sale_id
limit :limit;

-- name: list_sales_to_retry(business_id, channel_id, token, limit)
-- Waiting sales of a business or channel that this try has not reached, in the order of a sync. A
-- run leaves out what it brought or tried itself, whoever tried it since; a link's try leaves out the
-- channels that want none.
select waiting.business_id, waiting.sale_id, waiting.channel_id
from waiting_versions as waiting
left join channels as channel using (business_id, channel_id)
where waiting.business_id = :business_id
  and (:channel_id::text is null or waiting.channel_id = :channel_id)
  and waiting.tried_by is distinct from :token::text
  and not exists (
      select from sync_entries as entry
      where entry.business_id = waiting.business_id
        and entry.sync_id = :token
        and entry.sale_id = waiting.sale_id
  )
  and (
      :token not like 'heal:%'
      or coalesce((channel.settings ->> 'heal_on_link')::boolean, true)
  )
order by waiting.sale_date, waiting.created_at, length(waiting.order_id),
    waiting.order_id collate "C", waiting.sale_id
limit :limit;

-- name: list_waiting(business_ids, sale_ids)
-- What these sales wait with.
select waiting.business_id, waiting.sale_id, waiting.version, waiting.document, waiting.content,
    waiting.errors
from unnest(:business_ids::text[], :sale_ids::text[]) as wanted (business_id, sale_id)
join waiting_versions as waiting using (business_id, sale_id);

-- name: lock_sales(business_ids, sale_ids)
-- What is known of these sales, locked in the one order of sales.
select sale.business_id, sale.sale_id, sale.channel_id, sale.source, sale.kind, sale.external_id,
    sale.seen_version, sale.intent, sale.content_hash, sale.revision, sale.costed_revision,
    sale.costing, sale.holds_goods, sale.update_waiting, sale.draft, sale.pending_sync_id,
    sale.status, sale.version, sale.asked_revision
from unnest(:business_ids::text[], :sale_ids::text[]) as wanted (business_id, sale_id)
join sales as sale using (business_id, sale_id)
order by sale.business_id, sale.sale_id
for update of sale;

-- name: find_tombstones(business_ids, sale_ids)
-- Voids of documents that were never seen.
select tombstone.business_id, tombstone.sale_id, tombstone.version
from unnest(:business_ids::text[], :sale_ids::text[]) as wanted (business_id, sale_id)
join tombstones as tombstone using (business_id, sale_id);

-- name: save_tombstones(business_ids, sale_ids, versions)!
-- Remember voids of documents that were never seen.
insert into tombstones (business_id, sale_id, version)
select business_id, sale_id, version
from unnest(:business_ids::text[], :sale_ids::text[], :versions::bigint[])
    as void (business_id, sale_id, version)
on conflict (business_id, sale_id) do update set version = excluded.version;

-- name: delete_tombstones(business_ids, sale_ids)!
-- Forget tombstones of documents that came to life.
delete from tombstones
using unnest(:business_ids::text[], :sale_ids::text[]) as gone (business_id, sale_id)
where tombstones.business_id = gone.business_id and tombstones.sale_id = gone.sale_id;

-- name: list_shown(business_ids, sale_ids)
-- What is shown of these sales, without their lines.
select sale.business_id, sale.sale_id, sale.version, sale.number, sale.customer_external_id,
    sale.customer_name, sale.sale_date, sale.currency, sale.exchange_rate, sale.total_amount,
    sale.tax_amount, sale.revenue, sale.cost, sale.notes, sale.sync_id, sale.void_reason,
    sale.home_currency
from unnest(:business_ids::text[], :sale_ids::text[]) as wanted (business_id, sale_id)
join sales as sale using (business_id, sale_id);

-- name: list_lines(business_ids, sale_ids)
-- The lines of what is shown of these sales.
select line.business_id, line.sale_id, line.line_number, line.item_external_id, line.product_id,
    line.product_name, line.description, line.quantity, line.unit_price, line.amount, line.discount,
    line.revenue, line.cost, line.allocations, line.shortage, line.skipped_reason, line.flags,
    line.returned
from unnest(:business_ids::text[], :sale_ids::text[]) as wanted (business_id, sale_id)
join sale_lines as line using (business_id, sale_id)
order by line.business_id, line.sale_id, line.line_number;

-- name: save_intake(business_ids, sale_ids, seen_versions, versions, intents, content_hashes, revisions, costed_revisions, holds_goods, updates_waiting, drafts, pending_sync_ids, statuses, asked_revisions)!
-- The newest intent of sales that are stored; an absent version leaves the shown one.
update sales as stored
set seen_version = taken.seen_version,
    version = coalesce(taken.version, stored.version),
    intent = taken.intent,
    content_hash = taken.content_hash,
    revision = taken.revision,
    costed_revision = taken.costed_revision,
    holds_goods = taken.holds_goods,
    update_waiting = taken.update_waiting,
    draft = taken.draft,
    pending_sync_id = taken.pending_sync_id,
    status = taken.status,
    asked_revision = taken.asked_revision
from unnest(
    :business_ids::text[], :sale_ids::text[], :seen_versions::bigint[], :versions::bigint[],
    :intents::text[], :content_hashes::text[], :revisions::bigint[], :costed_revisions::bigint[],
    :holds_goods::boolean[], :updates_waiting::boolean[], :drafts::bytea[],
    :pending_sync_ids::text[], :statuses::text[], :asked_revisions::bigint[]
) as taken (
    business_id, sale_id, seen_version, version, intent, content_hash, revision, costed_revision,
    holds_goods, update_waiting, draft, pending_sync_id, status, asked_revision
)
where stored.business_id = taken.business_id and stored.sale_id = taken.sale_id;

-- name: save_headers(business_ids, sale_ids, numbers, customer_ids, customer_names, dates, currencies, rates, totals, taxes, sync_ids, home_currencies, places)!
-- What is shown of waiting sales: the document that waits.
update sales as stored
set number = waiting.number,
    customer_external_id = waiting.customer_external_id,
    customer_name = waiting.customer_name,
    sale_date = waiting.sale_date,
    currency = waiting.currency,
    exchange_rate = waiting.exchange_rate,
    total_amount = waiting.total_amount,
    tax_amount = waiting.tax_amount,
    sync_id = waiting.sync_id,
    home_currency = waiting.home_currency,
    money_places = waiting.places
from unnest(
    :business_ids::text[], :sale_ids::text[], :numbers::text[], :customer_ids::text[],
    :customer_names::text[], :dates::date[], :currencies::text[], :rates::numeric[],
    :totals::numeric[], :taxes::numeric[], :sync_ids::text[], :home_currencies::text[],
    :places::smallint[]
) as waiting (
    business_id, sale_id, number, customer_external_id, customer_name, sale_date, currency,
    exchange_rate, total_amount, tax_amount, sync_id, home_currency, places
)
where stored.business_id = waiting.business_id and stored.sale_id = waiting.sale_id;

-- name: save_costed(business_ids, sale_ids, costings, statuses, versions, numbers, customer_ids, customer_names, dates, currencies, rates, totals, taxes, revenues, costs, flags, notes, sync_ids, void_reasons, home_currencies, places, instant)!
-- Show the content that has its cost now, and that nothing waits for inventory any more.
update sales as stored
set costed_revision = stored.revision,
    costing = costed.costing,
    draft = null,
    pending_sync_id = null,
    holds_goods = stored.holds_goods and costed.void_reason is null,
    status = costed.status,
    version = costed.version,
    number = costed.number,
    customer_external_id = costed.customer_external_id,
    customer_name = costed.customer_name,
    sale_date = costed.sale_date,
    currency = costed.currency,
    exchange_rate = costed.exchange_rate,
    total_amount = costed.total_amount,
    tax_amount = costed.tax_amount,
    revenue = costed.revenue,
    cost = costed.cost,
    flags = coalesce(string_to_array(costed.flags, ' '), '{}'),
    notes = costed.notes,
    sync_id = costed.sync_id,
    recorded_at = coalesce(stored.recorded_at, :instant::timestamptz),
    voided_at = case when costed.void_reason is not null then :instant::timestamptz end,
    void_reason = costed.void_reason,
    home_currency = costed.home_currency,
    money_places = costed.places
from unnest(
    :business_ids::text[], :sale_ids::text[], :costings::integer[], :statuses::text[],
    :versions::bigint[], :numbers::text[], :customer_ids::text[], :customer_names::text[],
    :dates::date[], :currencies::text[], :rates::numeric[], :totals::numeric[], :taxes::numeric[],
    :revenues::numeric[], :costs::numeric[], :flags::text[], :notes::text[], :sync_ids::text[],
    :void_reasons::text[], :home_currencies::text[], :places::smallint[]
) as costed (
    business_id, sale_id, costing, status, version, number, customer_external_id, customer_name,
    sale_date, currency, exchange_rate, total_amount, tax_amount, revenue, cost, flags, notes,
    sync_id, void_reason, home_currency, places
)
where stored.business_id = costed.business_id and stored.sale_id = costed.sale_id;

-- name: save_recosted(business_ids, sale_ids, costings, costs, flags)!
-- A new cost of sales that did not change.
update sales as stored
set costing = recosted.costing,
    cost = recosted.cost,
    flags = coalesce(string_to_array(recosted.flags, ' '), '{}')
from unnest(
    :business_ids::text[], :sale_ids::text[], :costings::integer[], :costs::numeric[],
    :flags::text[]
) as recosted (business_id, sale_id, costing, cost, flags)
where stored.business_id = recosted.business_id and stored.sale_id = recosted.sale_id;

-- name: keep_revisions(business_ids, sale_ids, instant)!
-- Keep what is shown of these sales, before something newer takes its place.
insert into sale_revisions (
    business_id, sale_id, revision, costing, version, status, number, customer_external_id,
    customer_name, sale_date, currency, exchange_rate, total_amount, tax_amount, revenue, cost,
    flags, notes, sync_id, void_reason, home_currency, lines, replaced_at
)
select sale.business_id, sale.sale_id, sale.costed_revision, sale.costing, sale.version,
    sale.status, sale.number, sale.customer_external_id, sale.customer_name, sale.sale_date,
    sale.currency, sale.exchange_rate, sale.total_amount, sale.tax_amount, sale.revenue, sale.cost,
    sale.flags, sale.notes, sale.sync_id, sale.void_reason, sale.home_currency, shown.lines,
    :instant::timestamptz
from unnest(:business_ids::text[], :sale_ids::text[]) as replaced (business_id, sale_id)
join sales as sale using (business_id, sale_id)
cross join lateral (
    select coalesce(
        jsonb_agg(
            to_jsonb(line) - '{business_id,sale_id}'::text[] order by line.line_number
        ),
        '[]'
    ) as lines
    from sale_lines as line
    where line.business_id = sale.business_id and line.sale_id = sale.sale_id
) as shown;

-- name: delete_lines(business_ids, sale_ids)!
-- Make room for the lines of what is shown from now on.
delete from sale_lines
using unnest(:business_ids::text[], :sale_ids::text[]) as gone (business_id, sale_id)
where sale_lines.business_id = gone.business_id and sale_lines.sale_id = gone.sale_id;

-- name: save_waiting(business_ids, sale_ids, channel_ids, versions, documents, contents, errors, dates, instants, order_ids, tried_by)!
-- Versions that must wait, in place of what waited.
insert into waiting_versions (
    business_id, sale_id, channel_id, version, document, content, errors, sale_date, created_at,
    order_id, tried_by
)
select business_id, sale_id, channel_id, version, document, content, errors::jsonb, sale_date,
    created_at, order_id, tried_by
from unnest(
    :business_ids::text[], :sale_ids::text[], :channel_ids::text[], :versions::bigint[],
    :documents::bytea[], :contents::bytea[], :errors::text[], :dates::date[],
    :instants::timestamptz[], :order_ids::text[], :tried_by::text[]
) as waiting (
    business_id, sale_id, channel_id, version, document, content, errors, sale_date, created_at,
    order_id, tried_by
)
on conflict (business_id, sale_id) do update
set version = excluded.version,
    document = excluded.document,
    content = excluded.content,
    errors = excluded.errors,
    sale_date = excluded.sale_date,
    created_at = excluded.created_at,
    tried_by = excluded.tried_by;

-- name: delete_missing(business_ids, sale_ids)!
-- Forget which items these sales lacked.
delete from missing_items
using unnest(:business_ids::text[], :sale_ids::text[]) as gone (business_id, sale_id)
where missing_items.business_id = gone.business_id and missing_items.sale_id = gone.sale_id;

-- name: delete_waiting(business_ids, sale_ids)!
-- These sales wait no longer.
delete from waiting_versions
using unnest(:business_ids::text[], :sale_ids::text[]) as gone (business_id, sale_id)
where waiting_versions.business_id = gone.business_id and waiting_versions.sale_id = gone.sale_id;

-- name: append_entries(business_ids, sync_ids, retried, sequences, sale_ids, versions, outcomes, reasons, errors)
-- What became of transactions of runs; one that is there already stays. Returns the new ones.
insert into sync_entries (
    business_id, sync_id, retried, sequence, sale_id, version, outcome, skipped_reason, error
)
select business_id, sync_id, retried, sequence, sale_id, version, outcome, skipped_reason, error
from unnest(
    :business_ids::text[], :sync_ids::text[], :retried::boolean[], :sequences::bigint[],
    :sale_ids::text[], :versions::bigint[], :outcomes::text[], :reasons::text[], :errors::jsonb[]
) as entry (
    business_id, sync_id, retried, sequence, sale_id, version, outcome, skipped_reason, error
)
on conflict (business_id, sync_id, retried, sequence) do nothing
returning business_id, sync_id, retried;

-- name: fail_entries(business_ids, sync_ids, sale_ids, errors)!
-- Transactions that had been accepted and that inventory then refused.
update sync_entries as entry
set outcome = 'error', error = refused.error
from unnest(:business_ids::text[], :sync_ids::text[], :sale_ids::text[], :errors::jsonb[])
    as refused (business_id, sync_id, sale_id, error)
where entry.business_id = refused.business_id
  and entry.sync_id = refused.sync_id
  and entry.sale_id = refused.sale_id
  and entry.outcome in ('created', 'updated', 'voided')
  and (entry.retried, entry.sequence) = (
      select newest.retried, newest.sequence
      from sync_entries as newest
      where newest.business_id = refused.business_id
        and newest.sync_id = refused.sync_id
        and newest.sale_id = refused.sale_id
        and newest.outcome in ('created', 'updated', 'voided')
      order by newest.version desc
      limit 1
  );

-- name: add_runs(business_ids, sync_ids, channel_ids)!
-- Runs that transactions or events name for the first time.
insert into sync_runs (business_id, sync_id, channel_id, phase)
select business_id, sync_id, channel_id, 'receiving'
from unnest(:business_ids::text[], :sync_ids::text[], :channel_ids::text[])
    as run (business_id, sync_id, channel_id)
order by business_id, sync_id
on conflict (business_id, sync_id) do nothing;

-- name: start_runs(business_ids, sync_ids, instants)!
-- When these runs started.
update sync_runs as stored
set started_at = coalesce(stored.started_at, started.started_at)
from unnest(:business_ids::text[], :sync_ids::text[], :instants::timestamptz[])
    as started (business_id, sync_id, started_at)
where stored.business_id = started.business_id and stored.sync_id = started.sync_id;

-- name: declare_runs(business_ids, sync_ids, instants, published, unchanged, failures, http_calls)!
-- What these runs published, as said once; a repeat changes nothing.
update sync_runs as stored
set started_at = coalesce(stored.started_at, declared.started_at),
    published = declared.published,
    unchanged = declared.unchanged,
    failures = declared.failures::jsonb,
    http_calls = declared.http_calls,
    phase = 'receiving',
    failure = null
from unnest(
    :business_ids::text[], :sync_ids::text[], :instants::timestamptz[], :published::integer[],
    :unchanged::integer[], :failures::text[], :http_calls::integer[]
) as declared (business_id, sync_id, started_at, published, unchanged, failures, http_calls)
where stored.business_id = declared.business_id
  and stored.sync_id = declared.sync_id
  and stored.published is null;

-- name: fail_runs(business_ids, sync_ids, failures)!
-- Runs that ended without publishing.
update sync_runs as stored
set phase = 'failed', failure = failed.failure
from unnest(:business_ids::text[], :sync_ids::text[], :failures::jsonb[])
    as failed (business_id, sync_id, failure)
where stored.business_id = failed.business_id
  and stored.sync_id = failed.sync_id
  and stored.published is null;

-- name: lock_runs(business_ids, sync_ids, received, retried, pending)
-- Count what came, was tried again and waits for its cost; returns the runs, locked in one order.
with wanted as (
    select stored.business_id, stored.sync_id
    from unnest(:business_ids::text[], :sync_ids::text[]) as named (business_id, sync_id)
    join sync_runs as stored using (business_id, sync_id)
    order by stored.business_id, stored.sync_id
    for update of stored
)
update sync_runs as stored
set received = stored.received + added.received,
    retried = stored.retried + added.retried,
    pending = stored.pending + added.pending
from wanted
join unnest(
    :business_ids::text[], :sync_ids::text[], :received::integer[], :retried::integer[],
    :pending::integer[]
) as added (business_id, sync_id, received, retried, pending) using (business_id, sync_id)
where stored.business_id = wanted.business_id and stored.sync_id = wanted.sync_id
returning stored.business_id, stored.sync_id, stored.channel_id, stored.phase, stored.started_at,
    stored.published, stored.unchanged, stored.failures, stored.http_calls, stored.received,
    stored.retried, stored.pending;

-- name: find_run(business_id, sync_id)^
-- How far a run has come.
select business_id, sync_id, channel_id, phase, retried
from sync_runs
where business_id = :business_id and sync_id = :sync_id;

-- name: save_phases(business_ids, sync_ids, phases)!
-- How far these runs have come.
update sync_runs as stored
set phase = reached.phase
from unnest(:business_ids::text[], :sync_ids::text[], :phases::text[])
    as reached (business_id, sync_id, phase)
where stored.business_id = reached.business_id and stored.sync_id = reached.sync_id;

-- name: list_outcomes(business_id, sync_id)
-- How often each outcome occurred in a run.
select outcome, skipped_reason, count(*)::integer as count
from sync_entries
where business_id = :business_id and sync_id = :sync_id
group by outcome, skipped_reason;

-- name: list_errors(business_id, sync_id)
-- The errors of a run, in the order of its transactions.
select error
from sync_entries
where business_id = :business_id and sync_id = :sync_id and outcome = 'error'
order by retried, sequence;

-- name: find_totals(business_id, sync_id)^
-- Revenue and cost, as they are now, of the sales that a run created or updated.
select coalesce(sum(revenue), 0) as revenue, coalesce(sum(cost), 0) as cost
from sales
where business_id = :business_id
  and status = 'active'
  and sale_id in (
      select sale_id
      from sync_entries
      where business_id = :business_id
        and sync_id = :sync_id
        and outcome in ('created', 'updated')
  );

-- name: complete_run(business_id, sync_id, instant, summary)!
-- Keep the summary of a run.
update sync_runs
set phase = 'completed', completed_at = :instant, summary = :summary
where business_id = :business_id and sync_id = :sync_id;

-- name: find_manual_channels(business_ids)
-- The manual channels of these businesses.
select business_id, min(channel_id) as channel_id
from channels
where channel_type = 'manual' and business_id = any(:business_ids::text[])
group by business_id;

-- name: find_channels(business_id, channel_id)^
-- Whether any channel of a business is known, and whether this one is; null stands for any.
select count(*) > 0 as business,
    count(*) filter (where :channel_id::text is null or channel_id = :channel_id) > 0 as channel
from channels
where business_id = :business_id;

-- name: find_oldest_transaction()$
-- Every transaction of a lower number is over: what it wrote is seen by statements from now on.
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint;

-- name: list_sales(business_id, from_date, to_date, channel_id, status, product_id, number, before_date, before_id, count)
-- A page of the sales of a business, newest first, with the errors of those that wait. A sale that
-- has no cost yet for the first time is one that waits.
select sale.business_id, sale.sale_id, sale.channel_id, sale.source, sale.kind, sale.external_id,
    sale.number, sale.version, sale.revision, sale.status, sale.customer_external_id,
    sale.customer_name, sale.sale_date, sale.currency, sale.exchange_rate, sale.total_amount,
    sale.tax_amount, sale.revenue, sale.cost, sale.flags, sale.notes, sale.sync_id,
    sale.update_waiting, sale.draft is not null as cost_pending, sale.recorded_at, sale.voided_at,
    sale.void_reason, sale.home_currency, waiting.errors
from sales as sale
left join waiting_versions as waiting using (business_id, sale_id)
where sale.business_id = :business_id
  and (:from_date::date is null or sale.sale_date >= :from_date)
  and (:to_date::date is null or sale.sale_date <= :to_date)
  and (:channel_id::text is null or sale.channel_id = :channel_id)
  and (
      :status::text is null
      or sale.status = :status
      or (sale.status = 'costing' and :status = 'waiting')
  )
  and (
      :product_id::text is null
      or exists (
          select
          from sale_lines as line
          where line.business_id = sale.business_id
            and line.sale_id = sale.sale_id
            and line.product_id = :product_id
      )
  )
  and (:number::text is null or :number in (sale.number, sale.external_id))
  and (
      :before_date::date is null
      or (sale.sale_date, sale.sale_id) < (:before_date, :before_id::text)
  )
order by sale.sale_date desc, sale.sale_id desc
limit :count;

-- name: list_moved_sales(business_id, from_date, to_date, channel_id, status, product_id, number, since, after_id, count)
-- A page of those of the same sales that got another date in a transaction not yet ended when `since`
-- was taken, by id.
select sale.business_id, sale.sale_id, sale.channel_id, sale.source, sale.kind, sale.external_id,
    sale.number, sale.version, sale.revision, sale.status, sale.customer_external_id,
    sale.customer_name, sale.sale_date, sale.currency, sale.exchange_rate, sale.total_amount,
    sale.tax_amount, sale.revenue, sale.cost, sale.flags, sale.notes, sale.sync_id,
    sale.update_waiting, sale.draft is not null as cost_pending, sale.recorded_at, sale.voided_at,
    sale.void_reason, sale.home_currency, waiting.errors
from sales as sale
left join waiting_versions as waiting using (business_id, sale_id)
where sale.business_id = :business_id
  and (:from_date::date is null or sale.sale_date >= :from_date)
  and (:to_date::date is null or sale.sale_date <= :to_date)
  and (:channel_id::text is null or sale.channel_id = :channel_id)
  and (
      :status::text is null
      or sale.status = :status
      or (sale.status = 'costing' and :status = 'waiting')
  )
  and (
      :product_id::text is null
      or exists (
          select
          from sale_lines as line
          where line.business_id = sale.business_id
            and line.sale_id = sale.sale_id
            and line.product_id = :product_id
      )
  )
  and (:number::text is null or :number in (sale.number, sale.external_id))
  and sale.moved_in >= :since
  and sale.sale_id > :after_id
order by sale.sale_id
limit :count;

-- name: find_sale(business_id, sale_id)^
-- One sale, as in the list.
select sale.business_id, sale.sale_id, sale.channel_id, sale.source, sale.kind, sale.external_id,
    sale.number, sale.version, sale.revision, sale.status, sale.customer_external_id,
    sale.customer_name, sale.sale_date, sale.currency, sale.exchange_rate, sale.total_amount,
    sale.tax_amount, sale.revenue, sale.cost, sale.flags, sale.notes, sale.sync_id,
    sale.update_waiting, sale.draft is not null as cost_pending, sale.recorded_at, sale.voided_at,
    sale.void_reason, sale.home_currency, waiting.errors
from sales as sale
left join waiting_versions as waiting using (business_id, sale_id)
where sale.business_id = :business_id and sale.sale_id = :sale_id;

-- name: list_revisions(business_id, sale_id, before_revision, before_costing, count)
-- A page of what was shown of a sale before, newest first. Lines are text, since decimals in jsonb
-- would be read as binary fractions.
select revision, costing, version, status, number, customer_external_id, customer_name, sale_date,
    currency, exchange_rate, total_amount, tax_amount, revenue, cost, flags, notes, sync_id,
    void_reason, home_currency, lines::text as lines, replaced_at
from sale_revisions
where business_id = :business_id
  and sale_id = :sale_id
  and (
      :before_revision::bigint is null
      or (revision, costing) < (:before_revision, :before_costing::bigint)
  )
order by revision desc, costing desc
limit :count;

-- name: list_margins(business_id, group_by, from_date, to_date, after, count)
-- A page of margins by product, channel, customer or month, by key. Voided and waiting sales are out.
with grouped as (
    select
        case :group_by
            when 'product' then line.product_id
            when 'channel' then sale.channel_id
            when 'customer' then coalesce(sale.customer_external_id, sale.customer_name, '')
            else to_char(sale.sale_date, 'YYYY-MM')
        end as key,
        max(
            case :group_by
                when 'product' then line.product_name
                when 'customer' then sale.customer_name
            end
        ) as name,
        count(distinct sale.sale_id)::integer as sales,
        coalesce(sum(line.quantity), 0) as quantity,
        coalesce(sum(line.revenue), 0) as revenue,
        coalesce(sum(line.cost), 0) as cost
    from sales as sale
    left join sale_lines as line
        on line.business_id = sale.business_id
        and line.sale_id = sale.sale_id
        and line.product_id is not null
    where sale.business_id = :business_id
      and sale.status = 'active'
      and (:from_date::date is null or sale.sale_date >= :from_date)
      and (:to_date::date is null or sale.sale_date <= :to_date)
      and (:group_by::text <> 'product' or line.product_id is not null)
    group by 1
)
select key, name, sales, quantity, revenue, cost
from grouped
where :after::text is null or key > :after
order by key
limit :count;

-- name: list_unlinked_items(business_id, after_connection, after_item, count)
-- A page of the items that waiting sales lack, with how many sales wait for each.
select missing.connection_id, missing.item_external_id, max(missing.name) as name,
    max(missing.kind) as kind, count(*)::integer as sales, min(waiting.sale_date) as oldest_sale_date
from missing_items as missing
join waiting_versions as waiting using (business_id, sale_id)
where missing.business_id = :business_id
  and (missing.connection_id, missing.item_external_id) > (:after_connection::text, :after_item::text)
  and not exists (
      select
      from item_links as link
      where link.business_id = missing.business_id
        and link.connection_id = missing.connection_id
        and link.item_external_id = missing.item_external_id
  )
group by missing.connection_id, missing.item_external_id
order by missing.connection_id, missing.item_external_id
limit :count;

-- name: find_runs(sync_id, business_id)
-- Runs of this id: one, unless two businesses chose the same.
select business_id, sync_id, channel_id, phase, started_at, published, received, retried, pending,
    completed_at, summary, failure
from sync_runs
where sync_id = :sync_id and (:business_id::text is null or business_id = :business_id)
limit 2;

-- name: list_summaries(business_id, channel_id, before_instant, before_id, count)
-- A page of the summaries of a business, newest first.
select sync_id, completed_at, summary
from sync_runs
where business_id = :business_id
  and phase = 'completed'
  and (:channel_id::text is null or channel_id = :channel_id)
  and (
      :before_instant::timestamptz is null
      or (completed_at, sync_id) < (:before_instant, :before_id::text)
  )
order by completed_at desc, sync_id desc
limit :count;

-- name: list_goods_totals(business_id)
-- Per product: the goods that sales say they hold, less what they gave back, and a number that only
-- the same parts make: each part's quantity times a digest of its sale, line, lot and unit cost.
select line.business_id, line.product_id, trim_scale(sum(part.quantity)) as quantity,
    trim_scale(sum(part.quantity * ('x' || left(md5(
        line.sale_id || '/' || line.line_number || '/' || part.lot_id || '/'
        || trim_scale(part.unit_cost)
    ), 12))::bit(48)::bigint)) as digest
from sale_lines as line
cross join lateral (
    select one ->> 'lot_id' as lot_id, (one ->> 'quantity')::numeric as quantity,
        (one ->> 'unit_cost')::numeric as unit_cost
    from jsonb_array_elements(line.allocations) as one
    where line.quantity > 0
    union all
    select coalesce(one ->> 'lot_id', ''), -(one ->> 'quantity')::numeric,
        (one ->> 'unit_cost')::numeric
    from jsonb_array_elements(line.returned) as one
    union all
    select '', (line.shortage ->> 'open')::numeric
            + coalesce((line.shortage ->> 'returned')::numeric, 0),
        (line.shortage ->> 'unit_cost')::numeric
    where line.shortage is not null
) as part
where line.product_id is not null
  and part.quantity <> 0
  and (:business_id::text is null or line.business_id = :business_id)
group by line.business_id, line.product_id
order by line.business_id, line.product_id;
