-- migrate:up

-- The kinds that a run read, and those that a channel's cursor holds for: a kind that is switched on
-- later has to be read from the initial date.
alter table sync_runs add column kinds text[];
alter table channels add column kinds_read text[];
update channels
set kinds_read = case
    when (settings ->> 'refund_receipts')::boolean
    then array['invoice', 'sales-receipt', 'credit-memo', 'refund-receipt']
    else array['invoice', 'sales-receipt', 'credit-memo']
end
where cursor_at is not null;

-- migrate:down
-- Forward only.
