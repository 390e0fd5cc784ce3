-- migrate:up

-- What a business's plan allows. A business that was never enabled has the default.
create table businesses (
    business_id text primary key,
    max_accounting_connections integer not null default 1 check (max_accounting_connections >= 0)
);

-- One company of an accounting system. A removed connection keeps its row: channels refer to it, and
-- connecting the same company again brings it back.
create table connections (
    business_id text not null references businesses,
    connection_id text not null,
    provider text not null,
    realm_id text not null,
    status text not null check (status in ('connected', 'needs-reconnect', 'removed')),
    company_name text,
    home_currency text,
    time_zone text,
    company_read_at timestamptz,
    changed_at timestamptz not null,
    primary key (business_id, connection_id),
    unique (business_id, provider, realm_id)
);

-- Secrets, encrypted, apart from what queries and people look at. The lease lets one process at a
-- time refresh; a refresh counts the version up.
create table connection_tokens (
    business_id text not null,
    connection_id text not null,
    key_id text not null,
    refresh_token bytea not null,
    access_token bytea,
    access_token_expires_at timestamptz,
    version bigint not null default 1,
    refresh_holder uuid,
    refresh_lease_expires_at timestamptz,
    primary key (business_id, connection_id),
    foreign key (business_id, connection_id) references connections,
    check ((access_token is null) = (access_token_expires_at is null)),
    check ((refresh_holder is null) = (refresh_lease_expires_at is null))
);

create table channels (
    channel_id text primary key,
    business_id text not null,
    channel_type text not null,
    status text not null check (status in ('active', 'inactive')),
    connection_id text,
    initial_sync_date date,
    settings jsonb not null,
    -- Everything that the source changed before this instant of its own clock is stored and published.
    cursor_at timestamptz,
    changed_at timestamptz not null,
    foreign key (business_id, connection_id) references connections,
    check (channel_type <> 'manual' or (status = 'active' and connection_id is null)),
    check (channel_type = 'manual' or connection_id is not null),
    check ((connection_id is null) = (initial_sync_date is null))
);
create unique index one_manual_channel on channels (business_id) where channel_type = 'manual';
create unique index one_accounting_channel_per_connection
    on channels (business_id, connection_id) where channel_type = 'accounting';

-- A run holds its lease while a process works on it; each taking counts the fencing token up, and a
-- write with an older token finds no row.
create table sync_runs (
    sync_id text primary key,
    business_id text not null,
    channel_id text not null references channels,
    requested_by text,
    requested_at timestamptz not null,
    status text not null check (status in ('requested', 'running', 'completed', 'failed')),
    phase text not null check (phase in ('waiting', 'reading', 'publishing', 'ended')),
    holder uuid,
    lease_expires_at timestamptz,
    fencing_token bigint not null default 0,
    started_at timestamptz,
    ended_at timestamptz,
    -- Where reading goes on; its meaning belongs to the accounting system's client.
    position jsonb,
    -- The source's own clock when reading began: what the cursor moves to, less an overlap.
    source_time timestamptz,
    http_calls integer not null default 0,
    received integer not null default 0,
    to_publish integer not null default 0,
    next_sequence integer not null default 1,
    published integer not null default 0,
    unchanged integer not null default 0,
    failed integer not null default 0,
    failure_reason text,
    failure_detail text,
    check ((status = 'failed') = (failure_reason is not null)),
    check ((status in ('completed', 'failed')) = (ended_at is not null)),
    check ((ended_at is not null) = (phase = 'ended')),
    check ((holder is null) = (lease_expires_at is null))
);
create unique index one_open_run_per_channel
    on sync_runs (channel_id) where status in ('requested', 'running');
create index runs_of_channel on sync_runs (channel_id, requested_at desc, sync_id);

-- Every version received, as the source sent it. A deletion is a version of ours, one above the last.
create table documents (
    business_id text not null,
    channel_id text not null references channels,
    kind text not null,
    external_id text not null,
    version bigint not null check (version >= 0),
    status text not null check (status in ('active', 'voided', 'deleted')),
    transaction_date date,
    source_created_at timestamptz,
    source_updated_at timestamptz not null,
    payload bytea not null check (octet_length(payload) > 0),
    received_at timestamptz not null,
    -- The run that met this version last; what it publishes is chosen among these.
    met_in text not null references sync_runs,
    outcome text not null check (
        outcome in ('pending', 'published', 'failed', 'superseded', 'before-initial-date')
    ),
    -- The run that published it or tried to, and its place there.
    settled_in text references sync_runs,
    sequence integer,
    content_hash text,
    failure_code text,
    failure_message text,
    failure_hint text,
    number text,
    primary key (channel_id, kind, external_id, version),
    check ((outcome = 'published') = (content_hash is not null)),
    check ((outcome = 'failed') = (failure_code is not null))
);
create index documents_met on documents (met_in);
create index documents_to_publish on documents (settled_in, sequence);

-- What is known of the source's items, to say of which kind the item of a line is.
create table items (
    business_id text not null,
    connection_id text not null,
    external_id text not null,
    kind text not null,
    name text,
    primary key (business_id, connection_id, external_id),
    foreign key (business_id, connection_id) references connections
);

-- migrate:down
-- Forward only.
