-- migrate:up

-- What was shown of a sale before something newer took its place: an earlier revision, or the same
-- with an earlier cost. Rows are only added; the first sync of a document adds none.
create table sale_revisions (
    business_id text not null,
    sale_id text not null,
    revision bigint not null,
    costing integer not null,
    version bigint not null,
    status text not null check (status in ('active', 'voided')),
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
    void_reason text,
    lines jsonb not null check (jsonb_typeof(lines) = 'array'),
    replaced_at timestamptz not null,
    primary key (business_id, sale_id, revision, costing),
    foreign key (business_id, sale_id) references sales,
    check ((status = 'voided') = (void_reason is not null))
);

-- migrate:down
-- Forward only.
