-- migrate:up

-- The newest revision that inventory was ever asked for. A refusal sets `revision` back to what is
-- shown, but the refused one is never asked again.
alter table sales add column asked_revision bigint not null default 0;
update sales set asked_revision = greatest(revision, seen_version) + 1;
alter table sales alter column asked_revision drop default;
alter table sales add constraint sales_asked_revision_check check (revision <= asked_revision);

-- migrate:down
-- Forward only.
