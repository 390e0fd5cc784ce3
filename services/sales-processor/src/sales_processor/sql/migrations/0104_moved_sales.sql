-- migrate:up

-- In which transaction a sale last got another date: whoever reads the list by date in pages may have
-- passed the new place already, and is given it at the end.
alter table sales add column moved_in bigint;
create index sales_moved on sales (business_id, moved_in, sale_id) where moved_in is not null;

create function note_move() returns trigger language plpgsql as $$
begin
    new.moved_in := pg_current_xact_id()::text::bigint;
    return new;
end
$$;
create trigger sale_moved before update of sale_date on sales
    for each row when (new.sale_date <> old.sale_date) execute function note_move();

-- migrate:down
-- Forward only.
