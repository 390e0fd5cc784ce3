-- name: lock_businesses(business_ids)
-- The plans of businesses, locked first of all: connections are counted and channels made under it.
select business_id, max_accounting_connections
from businesses
where business_id = any(:business_ids::text[])
order by business_id
for no key update;

-- name: save_businesses(business_ids, limits)!
-- Make businesses or change their plans; a limit of null keeps what is there, or the default.
insert into businesses (business_id, max_accounting_connections)
select business_id, coalesce(connections_max, 1)
from unnest(:business_ids::text[], :limits::integer[]) as given (business_id, connections_max)
order by business_id
on conflict (business_id) do update
set max_accounting_connections = excluded.max_accounting_connections;

-- name: make_business(business_id)!
-- A connection may come before the business was enabled: the default plan then holds.
insert into businesses (business_id) values (:business_id) on conflict do nothing;

-- name: lock_connections(business_ids, connection_ids)
-- Connections that channels are to stand on; they may not go away meanwhile.
select business_id, connection_id, provider, realm_id, status, changed_at, company_name,
       home_currency, time_zone, company_read_at
from connections
where (business_id, connection_id) in (
    select business_id, connection_id
    from unnest(:business_ids::text[], :connection_ids::text[]) as wanted (business_id, connection_id)
)
order by business_id, connection_id
for share;

-- name: lock_connections_of_business(business_id)
-- All connections of a business, to add one or change one.
select business_id, connection_id, provider, realm_id, status, changed_at, company_name,
       home_currency, time_zone, company_read_at
from connections
where business_id = :business_id
order by connection_id
for no key update;

-- name: find_connection(business_id, connection_id)^
-- One connection, without secrets.
select business_id, connection_id, provider, realm_id, status, changed_at, company_name,
       home_currency, time_zone, company_read_at
from connections
where business_id = :business_id and connection_id = :connection_id;

-- name: list_businesses(after, count)
-- A page of the businesses.
select business_id, max_accounting_connections
from businesses
where business_id > :after
order by business_id
limit :count;

-- name: list_connections(business_id, after, count)
-- A page of the connections of a business.
select business_id, connection_id, provider, realm_id, status, changed_at, company_name,
       home_currency, time_zone, company_read_at
from connections
where business_id = :business_id and connection_id > :after
order by connection_id
limit :count;

-- name: save_connection(business_id, connection_id, provider, realm_id, status, changed_at)!
-- Add a connection or bring one back.
insert into connections (business_id, connection_id, provider, realm_id, status, changed_at)
values (:business_id, :connection_id, :provider, :realm_id, :status, :changed_at)
on conflict (business_id, connection_id) do update
set status = excluded.status, changed_at = excluded.changed_at;

-- name: save_company(business_id, connection_id, name, home_currency, time_zone, now)!
-- What a company told about itself.
update connections
set company_name = :name, home_currency = :home_currency, time_zone = :time_zone,
    company_read_at = :now, changed_at = :now
where business_id = :business_id and connection_id = :connection_id;

-- name: save_tokens(business_id, connection_id, key_id, refresh_token)!
-- New tokens of a person's consent; whatever refresh was under way loses its claim.
insert into connection_tokens (business_id, connection_id, key_id, refresh_token)
values (:business_id, :connection_id, :key_id, :refresh_token)
on conflict (business_id, connection_id) do update
set key_id = excluded.key_id, refresh_token = excluded.refresh_token, access_token = null,
    access_token_expires_at = null, version = connection_tokens.version + 1,
    refresh_holder = null, refresh_lease_expires_at = null;

-- name: delete_tokens(business_id, connection_id)^
-- Forget the secrets of a removed connection; the last sight of them serves to revoke them.
delete from connection_tokens
where business_id = :business_id and connection_id = :connection_id
returning key_id, refresh_token;

-- name: list_old_tokens(key_id, after_business_id, after_connection_id, count)
-- Tokens that are encrypted with another key than the newest.
select t.business_id, t.connection_id, c.realm_id, t.version, t.key_id, t.refresh_token,
       t.access_token
from connection_tokens as t
join connections as c using (business_id, connection_id)
where t.key_id <> :key_id
  and (t.business_id, t.connection_id) > (:after_business_id, :after_connection_id)
order by t.business_id, t.connection_id
limit :count;

-- name: save_rotated_tokens(business_id, connection_id, version, old_key_id, key_id, refresh_token, access_token)$
-- The same tokens under another key; nothing if they were replaced meanwhile.
update connection_tokens
set key_id = :key_id, refresh_token = :refresh_token, access_token = :access_token
where business_id = :business_id
  and connection_id = :connection_id
  and version = :version
  and key_id = :old_key_id
returning 1;

-- name: save_consent_request(state_hash, browser_hash, business_id, connection_id, lives_seconds)!
-- A consent that is asked for; those that were never given are forgotten.
with gone as (
    delete from consent_requests where expires_at < now()
)
insert into consent_requests (state_hash, browser_hash, business_id, connection_id, expires_at)
values (:state_hash, :browser_hash, :business_id, :connection_id,
        now() + make_interval(secs => :lives_seconds));

-- name: take_consent_request(state_hash, browser_hash)^
-- The request that an answer belongs to, once, and only for the browser that began it.
delete from consent_requests
where state_hash = :state_hash and browser_hash = :browser_hash and expires_at >= now()
returning business_id, connection_id;

-- name: find_tokens(business_id, connection_id)^
-- The tokens as they are now, with what they are bound to.
select c.status, c.realm_id, t.key_id, t.refresh_token, t.access_token, t.access_token_expires_at,
       t.version, coalesce(t.refresh_lease_expires_at > now(), false) as being_refreshed,
       coalesce(t.access_token_expires_at > now() + interval '60 seconds', false) as access_is_good
from connections as c
left join connection_tokens as t using (business_id, connection_id)
where c.business_id = :business_id and c.connection_id = :connection_id;

-- name: claim_refresh(business_id, connection_id, version, holder, lease_seconds)$
-- Become the only one who uses this refresh token; nothing if someone else does or did.
update connection_tokens
set refresh_holder = :holder,
    refresh_lease_expires_at = now() + make_interval(secs => :lease_seconds)
where business_id = :business_id
  and connection_id = :connection_id
  and version = :version
  and (refresh_lease_expires_at is null or refresh_lease_expires_at <= now())
returning 1;

-- name: save_refreshed_tokens(business_id, connection_id, version, holder, key_id, refresh_token, access_token, lives_seconds)$
-- Store what the token endpoint answered, before anyone uses it, and give the claim back.
update connection_tokens
set key_id = :key_id, refresh_token = :refresh_token, access_token = :access_token,
    access_token_expires_at = now() + make_interval(secs => :lives_seconds),
    version = version + 1, refresh_holder = null, refresh_lease_expires_at = null
where business_id = :business_id
  and connection_id = :connection_id
  and version = :version
  and refresh_holder = :holder
returning version;

-- name: release_refresh(business_id, connection_id, holder)!
-- Give the claim back after a refresh that brought nothing.
update connection_tokens
set refresh_holder = null, refresh_lease_expires_at = null
where business_id = :business_id and connection_id = :connection_id and refresh_holder = :holder;

-- name: mark_needs_reconnect(business_id, connection_id, version, now)^
-- Give a connection up, unless its tokens were replaced meanwhile.
update connections as c
set status = 'needs-reconnect', changed_at = :now
from connection_tokens as t
where c.business_id = :business_id
  and c.connection_id = :connection_id
  and c.status = 'connected'
  and t.business_id = c.business_id
  and t.connection_id = c.connection_id
  and t.version = :version
returning c.business_id, c.connection_id, c.provider, c.realm_id, c.status, c.changed_at,
          c.company_name, c.home_currency, c.time_zone, c.company_read_at;

-- name: lock_channels(channel_ids, business_ids, connection_ids)
-- Channels that commands name, and those that stand on connections that commands name.
select channel_id, business_id, channel_type, status, connection_id, initial_sync_date, settings,
       cursor_at, kinds_read, changed_at
from channels
where channel_id = any(:channel_ids::text[])
   or (business_id, connection_id) in (
       select business_id, connection_id
       from unnest(:business_ids::text[], :connection_ids::text[])
            as wanted (business_id, connection_id)
   )
order by channel_id
for no key update;

-- name: save_channels(channel_ids, business_ids, channel_types, statuses, connection_ids, initial_sync_dates, settings, changed_at)!
-- Write whole channels; the cursor is the run's alone.
insert into channels (channel_id, business_id, channel_type, status, connection_id,
                      initial_sync_date, settings, changed_at)
select channel_id, business_id, channel_type, status, connection_id, initial_sync_date, settings,
       changed_at
from unnest(
    :channel_ids::text[], :business_ids::text[], :channel_types::text[], :statuses::text[],
    :connection_ids::text[], :initial_sync_dates::date[], :settings::jsonb[],
    :changed_at::timestamptz[]
) as given (channel_id, business_id, channel_type, status, connection_id, initial_sync_date,
            settings, changed_at)
order by channel_id
on conflict (channel_id) do update
set status = excluded.status, settings = excluded.settings, changed_at = excluded.changed_at;

-- name: find_channel(channel_id)^
-- One channel.
select channel_id, business_id, channel_type, status, connection_id, initial_sync_date, settings,
       cursor_at, kinds_read, changed_at
from channels
where channel_id = :channel_id;

-- name: list_channels(business_id, after, count)
-- A page of the channels of a business.
select channel_id, business_id, channel_type, status, connection_id, initial_sync_date, settings,
       cursor_at, kinds_read, changed_at
from channels
where business_id = :business_id and channel_id > :after
order by channel_id
limit :count;

-- name: find_run_owners(sync_ids)
-- Whose the runs with these ids are, to tell a repeat from a mistake.
select sync_id, business_id, channel_id from sync_runs where sync_id = any(:sync_ids::text[]);

-- name: open_runs(sync_ids, business_ids, channel_ids, requested_by, now)
-- Begin runs; of a channel with an open run none begins. Returns those that did.
insert into sync_runs (sync_id, business_id, channel_id, requested_by, requested_at, status, phase)
select sync_id, business_id, channel_id, requested_by, :now, 'requested', 'waiting'
from unnest(:sync_ids::text[], :business_ids::text[], :channel_ids::text[], :requested_by::text[])
     with ordinality as given (sync_id, business_id, channel_id, requested_by, place)
order by place
on conflict (channel_id) where status in ('requested', 'running') do nothing
returning sync_id;

-- name: claim_run(holder, lease_seconds)^
-- Take the run that waited longest, new or left behind; a new fencing token shuts the old holder out.
update sync_runs
set status = 'running', holder = :holder, fencing_token = fencing_token + 1,
    lease_expires_at = now() + make_interval(secs => :lease_seconds),
    started_at = coalesce(started_at, now()),
    phase = case when phase = 'waiting' then 'reading' else phase end
where sync_id = (
    select sync_id
    from sync_runs
    where status in ('requested', 'running')
      and (lease_expires_at is null or lease_expires_at <= now())
    order by requested_at, sync_id
    limit 1
    for update skip locked
)
returning sync_id, business_id, channel_id, requested_by, started_at, fencing_token, phase, position,
          source_time, http_calls, to_publish, next_sequence;

-- name: renew_lease(sync_id, fencing_token, lease_seconds)$
-- The heartbeat; nothing if the run was taken over.
update sync_runs
set lease_expires_at = now() + make_interval(secs => :lease_seconds)
where sync_id = :sync_id and fencing_token = :fencing_token and status = 'running'
returning 1;

-- name: release_lease(sync_id, fencing_token)!
-- Let another process go on at once: this one is about to end.
update sync_runs
set holder = null, lease_expires_at = null
where sync_id = :sync_id and fencing_token = :fencing_token and status = 'running';

-- name: save_position(sync_id, fencing_token, position, kinds, source_time, http_calls, received)$
-- Where reading goes on, with the page in the same transaction; nothing if the run was taken over.
update sync_runs
set position = :position, source_time = coalesce(source_time, :source_time),
    -- Settings may change while a run is taken over: what was read from its first page on counts.
    kinds = case when kinds is null then :kinds::text[]
                 else array(select unnest(kinds) intersect select unnest(:kinds::text[])) end,
    http_calls = :http_calls, received = received + :received
where sync_id = :sync_id and fencing_token = :fencing_token and status = 'running'
returning 1;

-- name: save_documents(business_id, channel_id, sync_id, now, kinds, external_ids, versions, statuses, transaction_dates, created_at, updated_at, payloads)!
-- Keep versions; one that is there is only noted as met again. If it had failed it is tried again,
-- as it came now: a source may show a version wrongly for a while.
insert into documents as known (
    business_id, channel_id, kind, external_id, version, status, transaction_date,
    source_created_at, source_updated_at, payload, received_at, met_in, outcome
)
select :business_id, :channel_id, kind, external_id, version, status, transaction_date, created_at,
       updated_at, payload, :now, :sync_id, 'pending'
from unnest(
    :kinds::text[], :external_ids::text[], :versions::bigint[], :statuses::text[],
    :transaction_dates::date[], :created_at::timestamptz[], :updated_at::timestamptz[],
    :payloads::bytea[]
) as given (kind, external_id, version, status, transaction_date, created_at, updated_at, payload)
order by kind, external_id, version
on conflict (channel_id, kind, external_id, version) do update
set met_in = excluded.met_in,
    status = case known.outcome when 'failed' then excluded.status else known.status end,
    transaction_date = case known.outcome
        when 'failed' then excluded.transaction_date else known.transaction_date end,
    payload = case known.outcome when 'failed' then excluded.payload else known.payload end;

-- name: list_deletable(channel_id, kinds, external_ids)
-- Documents that were published or failed and whose deletion is not settled: the version that a
-- deletion undoes, and the highest version known at all, whatever became of it.
with known as (
    select kind, external_id, version, outcome, transaction_date, source_created_at,
           max(version) over document as version_max,
           bool_or(status = 'deleted' and outcome in ('published', 'superseded')) over document
               as is_gone
    from documents
    join unnest(:kinds::text[], :external_ids::text[]) as wanted (kind, external_id)
         using (kind, external_id)
    where channel_id = :channel_id
    window document as (partition by kind, external_id)
)
select distinct on (kind, external_id)
       kind, external_id, transaction_date, source_created_at, version_max
from known
where outcome in ('published', 'failed') and not is_gone
order by kind, external_id, (outcome = 'published') desc, version desc;

-- name: list_live_ids(channel_id, kind)
-- Ids of documents that were published or failed and whose deletion is not settled, for comparison
-- with the source's.
select external_id
from documents
where channel_id = :channel_id and kind = :kind
group by external_id
having bool_or(outcome in ('published', 'failed'))
   and not bool_or(status = 'deleted' and outcome in ('published', 'superseded'))
order by external_id;

-- name: list_last_payloads(channel_id, kinds, external_ids)
-- What was last published of documents, for a deletion to carry.
select distinct on (kind, external_id)
       kind, external_id, version, status, transaction_date, source_created_at, source_updated_at,
       payload
from documents
join unnest(:kinds::text[], :external_ids::text[]) as wanted (kind, external_id)
     using (kind, external_id)
where channel_id = :channel_id and outcome = 'published' and status <> 'deleted'
order by kind, external_id, version desc;

-- name: list_unsettled_deletions(channel_id, kinds, external_ids)
-- Versions of deletions that were stored but not published yet, to use them again.
select kind, external_id, version
from documents
join unnest(:kinds::text[], :external_ids::text[]) as wanted (kind, external_id)
     using (kind, external_id)
where channel_id = :channel_id and status = 'deleted' and outcome <> 'published';

-- name: begin_publishing(sync_id, fencing_token, http_calls)$
-- Everything was read; nothing if the run was taken over.
update sync_runs
set phase = 'publishing', http_calls = :http_calls
where sync_id = :sync_id and fencing_token = :fencing_token and status = 'running'
returning 1;

-- name: settle_superseded(channel_id, sync_id)!
-- Of versions met in one run only the newest is published; an older one never comes after a newer.
update documents as d
set outcome = 'superseded', settled_in = :sync_id, failure_code = null, failure_message = null
where d.met_in = :sync_id
  and d.outcome in ('pending', 'failed')
  and exists (
      select 1
      from documents as newer
      where newer.channel_id = :channel_id
        and newer.kind = d.kind
        and newer.external_id = d.external_id
        and newer.version > d.version
        and (newer.outcome = 'published' or newer.met_in = :sync_id)
  );

-- name: settle_unpublished_deletions(channel_id, sync_id)!
-- The deletion of a document that was never published is kept, so that nothing reads the document
-- anew as if it were alive, and stays out.
update documents as d
set outcome = 'superseded', settled_in = :sync_id
where d.met_in = :sync_id
  and d.status = 'deleted'
  and d.outcome = 'pending'
  and not exists (
      select 1
      from documents as earlier
      where earlier.channel_id = :channel_id
        and earlier.kind = d.kind
        and earlier.external_id = d.external_id
        and earlier.outcome = 'published'
  );

-- name: settle_before_initial_date(channel_id, sync_id, initial_date)!
-- Documents dated before the initial date stay out, unless an earlier version was published.
update documents as d
set outcome = 'before-initial-date', settled_in = :sync_id, failure_code = null,
    failure_message = null
where d.met_in = :sync_id
  and d.outcome in ('pending', 'failed')
  and d.transaction_date < :initial_date
  and not exists (
      select 1
      from documents as earlier
      where earlier.channel_id = :channel_id
        and earlier.kind = d.kind
        and earlier.external_id = d.external_id
        and earlier.outcome = 'published'
  );

-- name: number_documents(sync_id)$
-- Put what is to be published in the order of the books: what gives goods back for good first, then
-- the calendar, across all kinds.
with ordered as (
    select kind, external_id, version, channel_id,
           row_number() over (
               order by (status = 'active'), transaction_date nulls last,
                        source_created_at nulls last, length(external_id),
                        external_id collate "C", kind collate "C"
           ) as place
    from documents
    where met_in = :sync_id and outcome in ('pending', 'failed')
), numbered as (
    update documents as d
    set settled_in = :sync_id, sequence = ordered.place, outcome = 'pending', failure_code = null,
        failure_message = null
    from ordered
    where d.channel_id = ordered.channel_id
      and d.kind = ordered.kind
      and d.external_id = ordered.external_id
      and d.version = ordered.version
    returning 1
)
select count(*) from numbered;

-- name: save_plan(sync_id, to_publish, unchanged)!
-- How much the run will publish, and how much it met again.
update sync_runs
set to_publish = :to_publish, unchanged = :unchanged, next_sequence = 1
where sync_id = :sync_id;

-- name: list_to_publish(sync_id, from_sequence, count, bytes_max)
-- The next documents of a run with their payloads, as many as are stored in so many bytes; at least
-- one.
select kind, external_id, version, status, transaction_date, source_created_at, source_updated_at,
       payload, sequence,
       (select sum(every.rereadings)
        from documents as every
        where every.channel_id = measured.channel_id
          and every.kind = measured.kind
          and every.external_id = measured.external_id)::bigint as rereadings
from (
    select channel_id, kind, external_id, version, status, transaction_date, source_created_at,
           source_updated_at, payload, sequence,
           sum(octet_length(payload)) over (
               order by sequence rows between unbounded preceding and 1 preceding
           ) as bytes_before
    from (
        select channel_id, kind, external_id, version, status, transaction_date,
               source_created_at, source_updated_at, payload, sequence
        from documents
        where settled_in = :sync_id and sequence >= :from_sequence and outcome = 'pending'
        order by sequence
        limit :count
    ) as following
) as measured
where coalesce(bytes_before, 0) < :bytes_max
order by sequence;

-- name: list_synced_channels()
-- Channels that were synced at least once: what they hold can be read anew.
select channel_id, business_id, connection_id
from channels
where channel_type = 'accounting' and cursor_at is not null
order by channel_id;

-- name: open_rereading(channel_id, sync_id, holder, requested_by, lease_seconds)^
-- A run that reads nothing from the source; none while another is open. Its cursor stays where it is.
insert into sync_runs (sync_id, business_id, channel_id, requested_by, requested_at, status, phase,
                       holder, lease_expires_at, fencing_token, started_at, source_time)
select :sync_id, business_id, channel_id, :requested_by, now(), 'running', 'publishing', :holder,
       now() + make_interval(secs => :lease_seconds), 1, now(), cursor_at
from channels
where channel_id = :channel_id and cursor_at is not null
on conflict (channel_id) where status in ('requested', 'running') do nothing
returning sync_id, business_id, channel_id, requested_by, started_at, fencing_token, phase, position,
          source_time, http_calls, to_publish, next_sequence;

-- name: drop_run(sync_id, fencing_token)!
-- Forget a run that came to nothing.
delete from sync_runs
where sync_id = :sync_id and fencing_token = :fencing_token and status = 'running';

-- name: list_newest(channel_id, after_kind, after_id, count, bytes_max)
-- The newest version of each document if it is alive and was published or could not be read; as many
-- as are stored in so many bytes, at least one.
select kind, external_id, version, status, transaction_date, source_created_at, source_updated_at,
       payload, content_hash
from (
    select kind, external_id, version, status, transaction_date, source_created_at,
           source_updated_at, payload, content_hash,
           sum(octet_length(payload)) over (
               order by kind, external_id rows between unbounded preceding and 1 preceding
           ) as bytes_before
    from (
        select kind, external_id, version, status, transaction_date, source_created_at,
               source_updated_at, payload, content_hash
        from documents as d
        where channel_id = :channel_id
          and (kind, external_id) > (:after_kind, :after_id)
          and outcome in ('published', 'failed')
          and status <> 'deleted'
          and not exists (
              select 1
              from documents as newer
              where newer.channel_id = d.channel_id
                and newer.kind = d.kind
                and newer.external_id = d.external_id
                and newer.version > d.version
          )
        order by kind, external_id
        limit :count
    ) as following
) as measured
where coalesce(bytes_before, 0) < :bytes_max
order by kind, external_id;

-- name: mark_reread(channel_id, sync_id, kinds, external_ids, versions)!
-- Versions that are to be published again, or for the first time.
update documents as d
set outcome = 'pending', content_hash = null, failure_code = null, failure_message = null,
    failure_hint = null, met_in = :sync_id, settled_in = :sync_id,
    rereadings = d.rereadings + (d.outcome = 'published')::integer,
    earlier_runs = case when d.outcome = 'published' then d.earlier_runs || d.settled_in
                        else d.earlier_runs end
from unnest(:kinds::text[], :external_ids::text[], :versions::bigint[])
     as given (kind, external_id, version)
where d.channel_id = :channel_id
  and d.kind = given.kind
  and d.external_id = given.external_id
  and d.version = given.version;

-- name: settle_documents(channel_id, kinds, external_ids, versions, outcomes, hashes, codes, messages, hints, numbers)!
-- Note what became of versions.
update documents as d
set outcome = given.outcome, content_hash = given.content_hash, failure_code = given.failure_code,
    failure_message = given.failure_message, failure_hint = given.failure_hint, number = given.number
from unnest(
    :kinds::text[], :external_ids::text[], :versions::bigint[], :outcomes::text[], :hashes::text[],
    :codes::text[], :messages::text[], :hints::text[], :numbers::text[]
) as given (kind, external_id, version, outcome, content_hash, failure_code, failure_message,
            failure_hint, number)
where d.channel_id = :channel_id
  and d.kind = given.kind
  and d.external_id = given.external_id
  and d.version = given.version;

-- name: save_progress(sync_id, fencing_token, next_sequence, published, failed)$
-- How far publishing is, in the transaction of the outbox rows; nothing if the run was taken over.
update sync_runs
set next_sequence = :next_sequence, published = published + :published, failed = failed + :failed
where sync_id = :sync_id and fencing_token = :fencing_token and status = 'running'
returning 1;

-- name: list_counts(sync_id)
-- What a run published and what it met again unchanged, by kind. A deletion met again is no version.
select kind,
       count(*) filter (where settled_in = :sync_id) as published,
       count(*) filter (where settled_in <> :sync_id and status <> 'deleted') as unchanged
from documents
where met_in = :sync_id and outcome = 'published'
group by kind
order by kind;

-- name: list_failures(sync_id, count)
-- Documents of a run that could not be normalised, and why.
select kind, external_id, number, failure_code, failure_message, failure_hint
from documents
where settled_in = :sync_id and outcome = 'failed'
order by sequence
limit :count;

-- name: complete_run(sync_id, fencing_token, now, http_calls)$
-- The end of a run that published everything; nothing if it was taken over.
update sync_runs
set status = 'completed', phase = 'ended', ended_at = :now, http_calls = :http_calls,
    holder = null, lease_expires_at = null
where sync_id = :sync_id and fencing_token = :fencing_token and status = 'running'
returning 1;

-- name: move_cursor(channel_id, sync_id, cursor_at)!
-- Never backwards; with the kinds that it holds for, unless the run read nothing from the source.
update channels as c
set cursor_at = greatest(c.cursor_at, :cursor_at), kinds_read = coalesce(r.kinds, c.kinds_read)
from sync_runs as r
where c.channel_id = :channel_id and r.sync_id = :sync_id;

-- name: fail_run(sync_id, fencing_token, reason, detail, http_calls, now)$
-- The end of a run that could not go on; the cursor stays.
update sync_runs
set status = 'failed', phase = 'ended', ended_at = :now, failure_reason = :reason,
    failure_detail = :detail, http_calls = :http_calls, holder = null, lease_expires_at = null
where sync_id = :sync_id and fencing_token = :fencing_token and status = 'running'
returning 1;

-- name: list_items(business_id, connection_id, external_ids)
-- What is known of items.
select external_id, kind, name
from items
where business_id = :business_id
  and connection_id = :connection_id
  and external_id = any(:external_ids::text[]);

-- name: save_items(business_id, connection_id, external_ids, kinds, names)!
-- What the source says of its items now.
insert into items (business_id, connection_id, external_id, kind, name)
select distinct on (external_id) :business_id, :connection_id, external_id, kind, name
from unnest(:external_ids::text[], :kinds::text[], :names::text[])
     with ordinality as given (external_id, kind, name, place)
order by external_id, place desc
on conflict (business_id, connection_id, external_id) do update
set kind = excluded.kind, name = excluded.name
where (items.kind, items.name) is distinct from (excluded.kind, excluded.name);

-- name: find_run(sync_id)^
-- One run, as people see it.
select sync_id, business_id, channel_id, requested_by, requested_at, status, phase, started_at,
       ended_at, received, to_publish, next_sequence, published, unchanged, failed, http_calls,
       failure_reason, failure_detail
from sync_runs
where sync_id = :sync_id;

-- name: list_runs(channel_id, before, after_id, count)
-- A page of the runs of a channel, the latest first.
select sync_id, business_id, channel_id, requested_by, requested_at, status, phase, started_at,
       ended_at, received, to_publish, next_sequence, published, unchanged, failed, http_calls,
       failure_reason, failure_detail
from sync_runs
where channel_id = :channel_id
  and (:before::timestamptz is null
       or requested_at < :before
       or (requested_at = :before and sync_id > :after_id))
order by requested_at desc, sync_id
limit :count;

-- name: list_versions(business_id, kind, external_id)
-- Every version received of a document, in all channels of a business.
select channel_id, kind, external_id, version, status, transaction_date, source_updated_at,
       received_at, outcome, settled_in, content_hash, failure_code, failure_message, payload
from documents
where business_id = :business_id and kind = :kind and external_id = :external_id
  and channel_id in (select channel_id from channels where business_id = :business_id)
order by channel_id, version;

-- name: reserve_request(provider, realm_id, step_seconds)$
-- Reserve the next turn of a company; returns how many seconds to wait for it. One turn may be lent.
insert into request_paces as pace (provider, realm_id, next_at)
values (:provider, :realm_id, clock_timestamp() + make_interval(secs => :step_seconds))
on conflict (provider, realm_id) do update
set next_at = greatest(pace.next_at, clock_timestamp() - make_interval(secs => :step_seconds))
              + make_interval(secs => :step_seconds)
returning greatest(
    0, extract(epoch from pace.next_at - make_interval(secs => :step_seconds) - clock_timestamp())
)::double precision;

-- name: want_syncs(provider, realm_ids, latest)$
-- Note that channels of these companies want a sync, unless all that was told is stored already.
with noted as (
    update channels as c
    set sync_wanted_at = now()
    from connections as k
    join unnest(:realm_ids::text[], :latest::timestamptz[]) as told (realm_id, latest)
        using (realm_id)
    where k.provider = :provider
      and k.status = 'connected'
      and c.business_id = k.business_id
      and c.connection_id = k.connection_id
      and c.status = 'active'
      and (c.settings ->> 'webhooks')::boolean
      and (c.cursor_at is null or told.latest is null or told.latest >= c.cursor_at)
    returning 1
)
select count(*) from noted;

-- name: open_due_runs(count)
-- Begin the runs that a webhook asked for or that are due by their channel's interval.
with due as (
    select c.channel_id, c.business_id, c.sync_wanted_at is not null as wanted
    from channels as c
    join connections as k using (business_id, connection_id)
    where c.channel_type = 'accounting'
      and c.status = 'active'
      and k.status = 'connected'
      and (
          c.sync_wanted_at is not null
          or (
              c.settings ->> 'sync_interval_minutes' is not null
              and not exists (
                  select 1
                  from sync_runs as r
                  where r.channel_id = c.channel_id
                    and r.requested_at
                        > now() - make_interval(mins => (c.settings ->> 'sync_interval_minutes')::integer)
              )
          )
      )
      and not exists (
          select 1
          from sync_runs as r
          where r.channel_id = c.channel_id and r.status in ('requested', 'running')
      )
    order by c.channel_id
    for no key update of c skip locked
    limit :count
), opened as (
    insert into sync_runs (sync_id, business_id, channel_id, requested_by, requested_at, status, phase)
    select gen_random_uuid()::text, business_id, channel_id,
           case when wanted then 'webhook' else 'interval' end, now(), 'requested', 'waiting'
    from due
    on conflict (channel_id) where status in ('requested', 'running') do nothing
    returning channel_id, requested_by
)
update channels as c
set sync_wanted_at = null
from opened
where c.channel_id = opened.channel_id
returning c.channel_id, opened.requested_by;
