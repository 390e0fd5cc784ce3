-- migrate:up

-- Consents that were asked for and not given yet. Only hashes: a dump lets nobody finish one.
create table consent_requests (
    state_hash bytea primary key check (octet_length(state_hash) = 32),
    browser_hash bytea not null check (octet_length(browser_hash) = 32),
    business_id text not null,
    connection_id text,
    expires_at timestamptz not null
);
create index consent_requests_by_end on consent_requests (expires_at);

-- When the next request to a company may go out, for all processes together.
create table request_paces (
    provider text not null,
    realm_id text not null,
    next_at timestamptz not null,
    primary key (provider, realm_id)
);

-- Set by webhooks: a sync is wanted as soon as none is under way.
alter table channels add column sync_wanted_at timestamptz;
create index channels_wanting_a_sync on channels (sync_wanted_at) where sync_wanted_at is not null;

-- How often a published version was normalised again and published with other content, and the runs
-- that had published it before.
alter table documents
    add column rereadings integer not null default 0 check (rereadings >= 0),
    add column earlier_runs text[] not null default '{}',
    add check (rereadings = cardinality(earlier_runs));
create index documents_published_again on documents using gin (earlier_runs) where rereadings > 0;

-- migrate:down
-- Forward only.
