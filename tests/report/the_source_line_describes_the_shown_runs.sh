# Commit and machine below a table are of the runs in it: not of one that was archived, and of all processes of
# one that went on with another program.
. "$SOURCE/tests/support/sweep.sh"
expect_status 0 bench run experiments/small.yaml --no-progress
sqlite3 results/flipbench.db "CREATE TEMP TABLE other AS SELECT * FROM environment LIMIT 1;
  UPDATE other SET id = 2, digest = 'other', cpu = 'Other CPU', device = 'cpu';
  INSERT INTO environment SELECT * FROM other;
  UPDATE run SET environment_id = 2, message = '[not a list' WHERE id = 1"
bench report small > both.txt
expect_line both.txt '^commit 0123456789 · (Imaginary CPU @ 2.00GHz, Other CPU|Other CPU, Imaginary CPU @ 2.00GHz) · bf16 · 2 threads · 8.00 k samples · 20'

# What a message begins with makes no JSON of it; what is JSON stays so.
bench show 1 --json > show.json
[ "$(sqlite3 :memory: "SELECT json_valid(j), j ->> '$.message', json_type(j, '$.attempts[0].command'), json_type(j, '$.libraries') FROM (SELECT readfile('show.json') AS j)")" = '1|[not a list|array|object' ] || { cat show.json >&2; fail "JSON"; }

expect_status 0 bench runs archive 1
bench report small > one.txt
expect_line one.txt '^commit 0123456789 · Imaginary CPU @ 2.00GHz · bf16'

run=$(ask "SELECT id FROM run WHERE NOT archived AND directory LIKE '%mask_ratio=0.5-%'")
sqlite3 results/flipbench.db "CREATE TEMP TABLE other AS SELECT * FROM environment LIMIT 1;
  UPDATE other SET id = 3, digest = 'later', commit_id = 'fedcba9876543210', dirty = '';
  INSERT INTO environment SELECT * FROM other;
  CREATE TEMP TABLE later AS SELECT * FROM process WHERE run_id = $run;
  UPDATE later SET number = 2, first_step = 60, environment_id = 3;
  INSERT INTO process SELECT * FROM later;
  UPDATE run SET environment_id = 3 WHERE id = $run"
bench report small > went_on.txt
expect_line went_on.txt '^commit 0123456789 then fedcba9876, 0123456789 · '
bench show "$run" > show.txt
expect_line show.txt '^programs +0123456789, then fedcba9876$'
