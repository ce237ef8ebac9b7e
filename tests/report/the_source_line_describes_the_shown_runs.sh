# Commit and machine below a table are of the runs in it: not of one that was archived.
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
