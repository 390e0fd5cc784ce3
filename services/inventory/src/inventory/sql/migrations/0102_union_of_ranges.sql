-- migrate:up

-- The points that any of several sets of ranges hold; a window over it grows set by set.
create aggregate union_of_ranges(int8multirange) (
    sfunc = multirange_union, stype = int8multirange, initcond = '{}'
);

-- migrate:down
-- Forward only.
