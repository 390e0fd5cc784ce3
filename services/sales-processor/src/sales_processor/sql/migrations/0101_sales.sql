-- migrate:up

-- Channels as their owner last described them.
create table channels (
    business_id text not null,
    channel_id text not null,
    channel_type text not null,
    status text not null check (status in ('active', 'inactive')),
    connection_id text,
    settings jsonb not null,
    changed_at timestamptz not null,
    primary key (business_id, channel_id)
);

-- Products as inventory last described them.
create table products (
    business_id text not null,
    product_id text not null,
    name text not null,
    sku text,
    product_type text not null,
    version bigint not null,
    primary key (business_id, product_id)
);

-- Which product an accounting item is. Two products may claim an item for a moment, since their
-- messages come in any order: the newest claim counts.
create table item_links (
    business_id text not null,
    connection_id text not null,
    item_external_id text not null,
    product_id text not null,
    claimed_at timestamptz not null,
    primary key (business_id, connection_id, item_external_id, product_id),
    foreign key (business_id, product_id) references products on delete cascade
);
create index item_links_of_product on item_links (business_id, product_id);

-- Sales. What is shown (from `status` on) is the newest content that has its cost; `draft` is the
-- content that waits for it, asked of inventory as `revision`. `seen_version` is the newest version
-- met, `intent` and `content_hash` those of the newest accepted one. A sale in status `costing` has
-- no cost yet for the first time. Between conditions, `<=` reads “implies”.
create table sales (
    business_id text not null,
    sale_id text not null,
    channel_id text not null,
    source text not null check (source in ('synced', 'manual')),
    kind text not null,
    external_id text,
    seen_version bigint not null check (seen_version >= 0),
    intent text not null check (intent in ('waiting', 'active', 'voided')),
    content_hash text,
    revision bigint not null check (revision >= 0),
    costed_revision bigint not null check (costed_revision >= 0),
    costing integer not null check (costing >= 0),
    holds_goods boolean not null,
    update_waiting boolean not null,
    draft bytea,
    pending_sync_id text,
    status text not null check (status in ('costing', 'waiting', 'active', 'voided')),
    version bigint not null check (version >= 0),
    number text,
    customer_external_id text,
    customer_name text,
    sale_date date not null,
    currency text,
    exchange_rate numeric,
    total_amount numeric not null,
    tax_amount numeric not null,
    revenue numeric not null,
    cost numeric not null,
    flags text[] not null,
    notes text,
    sync_id text,
    recorded_at timestamptz,
    voided_at timestamptz,
    void_reason text,
    primary key (business_id, sale_id),
    constraint one_sale_per_document unique (business_id, channel_id, kind, external_id),
    check ((source = 'manual') = (external_id is null)),
    check (version <= seen_version),
    check ((draft is null) = (revision = costed_revision)),
    check (draft is not null or pending_sync_id is null),
    check (costed_revision <= revision),
    check ((status = 'costing') <= (draft is not null)),
    check ((status = 'waiting') <= (revision = 0 and costed_revision = 0)),
    check ((status = 'active') <= (recorded_at is not null and costed_revision > 0)),
    check ((status = 'voided') = (voided_at is not null)),
    check ((voided_at is null) = (void_reason is null)),
    check (status <> 'waiting' or not update_waiting),
    check (status = 'active' or (revenue = 0 and cost = 0))
) with (fillfactor = 50);
create index sales_by_date on sales (business_id, sale_date, sale_id);

-- The lines of what is shown of a sale: tracked (a product) or kept with the reason why not.
create table sale_lines (
    business_id text not null,
    sale_id text not null,
    line_number integer not null check (line_number >= 0),
    item_external_id text,
    product_id text,
    product_name text,
    description text,
    quantity numeric,
    unit_price numeric,
    amount numeric not null,
    discount numeric not null,
    revenue numeric not null,
    cost numeric not null,
    allocations jsonb,
    shortage jsonb,
    skipped_reason text,
    flags text[],
    primary key (business_id, sale_id, line_number),
    check ((product_id is null) = (skipped_reason is not null)),
    check (skipped_reason is null or (revenue = 0 and cost = 0)),
    check (allocations is null or jsonb_typeof(allocations) = 'array')
);
create index sale_lines_of_product on sale_lines (business_id, product_id, sale_id)
    where product_id is not null;

-- Versions that could not be applied, to be tried again: the document as it came, or, where only
-- inventory refused, the content made of it. `tried_by` names what brought or last tried it.
create table waiting_versions (
    business_id text not null,
    sale_id text not null,
    channel_id text not null,
    version bigint not null,
    document bytea,
    content bytea,
    errors jsonb not null check (jsonb_array_length(errors) > 0),
    sale_date date not null,
    created_at timestamptz not null,
    order_id text not null,
    tried_by text,
    primary key (business_id, sale_id),
    foreign key (business_id, sale_id) references sales,
    check ((document is null) <> (content is null))
);
create index waiting_versions_in_order on waiting_versions
    (business_id, channel_id, sale_date, created_at, length(order_id), order_id collate "C");

-- Items without a link that a waiting version names.
create table missing_items (
    business_id text not null,
    sale_id text not null,
    connection_id text not null,
    item_external_id text not null,
    name text,
    kind text,
    primary key (business_id, sale_id, item_external_id),
    foreign key (business_id, sale_id) references waiting_versions on delete cascade
);
create index missing_items_by_item on missing_items (business_id, connection_id, item_external_id);

-- Voids of documents that were never seen: they beat any older version that arrives later.
create table tombstones (
    business_id text not null,
    sale_id text not null,
    version bigint not null,
    primary key (business_id, sale_id)
);

-- Sync runs. `published` and what follows it come with transactions-published, in any order with the
-- transactions; `received`, `retried` and `pending` count what has come, been tried again and
-- waits for its cost.
create table sync_runs (
    business_id text not null,
    sync_id text not null,
    channel_id text not null,
    phase text not null
        check (phase in ('receiving', 'retrying', 'costing', 'completed', 'failed')),
    started_at timestamptz,
    published integer check (published >= 0),
    unchanged integer check (unchanged >= 0),
    failures jsonb,
    http_calls integer,
    received integer not null default 0 check (received >= 0),
    retried integer not null default 0 check (retried >= 0),
    pending integer not null default 0,
    completed_at timestamptz,
    summary jsonb,
    failure jsonb,
    primary key (business_id, sync_id),
    check (pending between 0 and received + retried),
    check (
        num_nulls(started_at, published, unchanged, failures) = 0
        or phase in ('receiving', 'failed')
    ),
    check (phase in ('receiving', 'failed') or received >= published),
    check ((phase = 'completed') = (summary is not null)),
    check ((phase = 'completed') = (completed_at is not null)),
    check ((phase = 'failed') = (failure is not null)),
    -- the five counts of a summary add up (I7)
    check (
        summary is null
        or (summary ->> 'created')::integer + (summary ->> 'updated')::integer
            + (summary ->> 'voided')::integer + (summary ->> 'skipped_total')::integer
            + jsonb_array_length(summary -> 'errors') = (summary ->> 'received')::integer
    )
);
create index sync_runs_by_id on sync_runs (sync_id);
create index sync_runs_completed on sync_runs (business_id, completed_at, sync_id)
    where phase = 'completed';

-- What became of each transaction of a run (`sequence` is the run's) and of each failed sale that it
-- tried again (`sequence` counts those).
create table sync_entries (
    business_id text not null,
    sync_id text not null,
    retried boolean not null,
    sequence bigint not null check (sequence >= 0),
    sale_id text not null,
    version bigint not null,
    outcome text not null check (outcome in ('created', 'updated', 'voided', 'skipped', 'error')),
    skipped_reason text,
    error jsonb,
    primary key (business_id, sync_id, retried, sequence),
    check ((outcome = 'skipped') = (skipped_reason is not null)),
    check ((outcome = 'error') = (error is not null))
);

-- migrate:down
-- Forward only.
