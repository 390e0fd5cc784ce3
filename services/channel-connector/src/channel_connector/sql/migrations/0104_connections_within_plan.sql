-- migrate:up

-- No business has more connections than its plan allows, whoever writes. The lock on the plan lets
-- one writer at a time count. A plan may be lowered below what is there: what is there stays, and
-- nothing is added or brought back.
create function keep_connections_within_plan() returns trigger language plpgsql as $$
declare
    allowed integer;
    present integer;
begin
    select max_accounting_connections into strict allowed
    from businesses
    where business_id = new.business_id
    for no key update;
    select count(*) into strict present
    from connections
    where business_id = new.business_id and status <> 'removed';
    if present > allowed then
        raise exception 'business % would have % accounting connections; its plan allows %',
            new.business_id, present, allowed
            using errcode = 'check_violation', table = 'connections',
                  constraint = 'connections_within_plan';
    end if;
    return null;
end
$$;

create trigger connections_within_plan_when_added
    after insert on connections
    for each row when (new.status <> 'removed')
    execute function keep_connections_within_plan();
create trigger connections_within_plan_when_brought_back
    after update of status on connections
    for each row when (old.status = 'removed' and new.status <> 'removed')
    execute function keep_connections_within_plan();

-- migrate:down
-- Forward only.
