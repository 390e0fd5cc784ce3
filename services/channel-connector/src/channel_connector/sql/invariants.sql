-- The invariants of channels and syncs. Each query selects the rows that break one, so an empty
-- answer is the proof; its name begins with the rule, its comment says what holds. No business means
-- all.

-- name: i6_versions(business_id)
-- in the order of publishing, versions of a document grow
select business_id, channel_id, kind, external_id, version, before as published_before
from (
    select d.business_id, d.channel_id, d.kind, d.external_id, d.version,
           lag(d.version) over (
               partition by d.channel_id, d.kind, d.external_id order by r.started_at, d.sequence
           ) as before
    from documents as d
    join sync_runs as r on r.sync_id = d.settled_in
    where d.outcome = 'published'
      and (:business_id::text is null or d.business_id = :business_id)
) as published
where version <= before;

-- name: i7_counts(business_id)
-- a completed run published what it counted, and all that it meant to but what it could not read
select r.business_id, r.sync_id, r.to_publish, r.published, r.failed,
       coalesce(found.documents, 0) as documents_published
from sync_runs as r
left join (
    select sync_id, count(*) as documents
    from (
        select d.settled_in as sync_id
        from documents as d
        where d.outcome = 'published'
          and (:business_id::text is null or d.business_id = :business_id)
        union all
        select earlier.sync_id
        from documents as d
        cross join unnest(d.earlier_runs) as earlier (sync_id)
        where d.rereadings > 0
          and (:business_id::text is null or d.business_id = :business_id)
    ) as each
    group by sync_id
) as found using (sync_id)
where r.status = 'completed'
  and (:business_id::text is null or r.business_id = :business_id)
  and (
      r.published <> coalesce(found.documents, 0)
      or r.to_publish <> r.published + r.failed
  );

-- name: i10_outcomes(business_id)
-- every version that a completed run met was published, or says why not
select d.business_id, d.channel_id, d.kind, d.external_id, d.version, d.outcome, d.failure_code,
       d.met_in, r.status as run_status
from documents as d
join sync_runs as r on r.sync_id = d.met_in
where r.status = 'completed'
  and (d.outcome = 'pending' or (d.outcome = 'failed' and d.failure_code is null))
  and (:business_id::text is null or d.business_id = :business_id);

-- name: i10_reasons_of_runs(business_id)
-- every run that failed says why, and only those
select r.business_id, r.channel_id, r.sync_id, r.status, r.failure_reason
from sync_runs as r
where (r.status = 'failed') <> (r.failure_reason is not null)
  and (:business_id::text is null or r.business_id = :business_id);

-- name: i11_cursors(business_id)
-- a channel with a completed run has a cursor, and it holds for the kinds that were read
select c.business_id, c.channel_id, c.cursor_at, c.kinds_read
from channels as c
where (c.cursor_at is null or c.kinds_read is null)
  and exists (
      select from sync_runs as r where r.channel_id = c.channel_id and r.status = 'completed'
  )
  and (:business_id::text is null or c.business_id = :business_id);

-- name: i12_one_business(business_id)
-- a run, a document and the runs that it names are of the business and channel that they say
select 'run' as row, r.business_id, r.channel_id, r.sync_id, null as kind, null as external_id,
       c.business_id as business_of_channel, null as channel_of_run
from sync_runs as r
join channels as c using (channel_id)
where r.business_id <> c.business_id
  and (:business_id::text is null or :business_id in (r.business_id, c.business_id))
union all
select 'document', d.business_id, d.channel_id, coalesce(d.settled_in, d.met_in), d.kind,
       d.external_id, c.business_id, coalesce(settled.channel_id, met.channel_id)
from documents as d
join channels as c using (channel_id)
join sync_runs as met on met.sync_id = d.met_in
left join sync_runs as settled on settled.sync_id = d.settled_in
where (
      d.business_id <> c.business_id
      or d.channel_id <> met.channel_id
      or d.channel_id <> settled.channel_id
  )
  and (:business_id::text is null or :business_id in (d.business_id, c.business_id));

-- name: ch4_channels(business_id)
-- a connection has at most one accounting channel
select business_id, connection_id, count(*)::integer as channels
from channels
where channel_type = 'accounting'
  and (:business_id::text is null or business_id = :business_id)
group by business_id, connection_id
having count(*) > 1;

-- name: sa6_deletions(business_id)
-- nothing of a document is published after its deletion
select d.business_id, d.channel_id, d.kind, d.external_id, d.version, gone.version as deleted_by
from documents as gone
join documents as d using (channel_id, kind, external_id)
where gone.status = 'deleted'
  and gone.outcome = 'published'
  and d.outcome = 'published'
  and d.version > gone.version
  and (:business_id::text is null or gone.business_id = :business_id);

-- name: sy7_open_runs(business_id)
-- a channel has at most one open run
select business_id, channel_id, count(*)::integer as open_runs
from sync_runs
where status in ('requested', 'running')
  and (:business_id::text is null or business_id = :business_id)
group by business_id, channel_id
having count(*) > 1;

-- name: sy7_leases(business_id)
-- a run whose process is gone is taken over within minutes
select business_id, channel_id, sync_id, status, lease_expires_at
from sync_runs
where status in ('requested', 'running')
  and lease_expires_at < clock_timestamp() - interval '5 minutes'
  and (:business_id::text is null or business_id = :business_id);

-- name: sy10_payloads(business_id)
-- every version published has its raw payload
select business_id, channel_id, kind, external_id, version
from documents
where outcome = 'published'
  and octet_length(payload) = 0
  and (:business_id::text is null or business_id = :business_id);
