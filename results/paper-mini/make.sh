#!/usr/bin/env bash
# Writes everything in this folder, and docs/findings.md, from the record of the runs:
#   results/paper-mini/make.sh RESULTS      the results folder of 'flipbench run experiments/paper/*.yaml --profile mini'
# A table that this record has not finished keeps what an earlier record gave: its files, its claims, and all earlier
# lines of runs.jsonl. The database is copied first, so that cells may still be running. Needs jq.
set -euo pipefail
cd "$(dirname "$0")/../.."
results=$(realpath "${1:?the results folder}") out=results/paper-mini flipbench=${FLIPBENCH:-build/bin/flipbench}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
sqlite3 "$results/flipbench.db" ".backup '$scratch/flipbench.db'"
bench() { local command=$1; shift; "$flipbench" "$command" "$@" --results "$results" --db "$scratch/flipbench.db"; }
mkdir -p "$out/figures"
bench report --paper --profile mini --format json --out "$scratch/claims.json"

# Table, figure and claims are renewed together: when all cells of the file, as it is now, have finished.
finished='.tables[] | select(.cells > 0 and .finished == .cells) | .name'
kept=0
for file in experiments/paper/*.yaml; do
  name=$(basename "$file" .yaml)
  if ! jq -e --arg name "$name" "[$finished] | index(\$name)" "$scratch/claims.json" > /dev/null; then
    jq -r --arg name "$name" '.tables[] | select(.name == $name) |
      "\(.name): \(.finished) of \(.cells) cells are finished; what is there of an earlier record stays"' "$scratch/claims.json"
    kept=1
    continue
  fi
  bench report "$file" --profile mini --format markdown --out "$out/$name.md"
  bench report "$file" --profile mini --format csv --out "$out/$name.csv"
  bench plot "$file" --profile mini --figure accuracy_vs_time --format png --out "$scratch/$name" > /dev/null
  mv "$scratch/$name/accuracy_vs_time.png" "$out/figures/$name.png"
done

if [ $kept = 1 ]; then
  jq -c --slurpfile earlier "$out/claims.json" '. as $now | ['"$finished"'] as $new |
    def record($table): if $new | index($table) then $now else $earlier[0] end;
    [.tables[].name as $name | record($name) | .tables[] | select(.name == $name)] as $tables |
    [.tables[].name as $name | record($name) | .claims[] | select(.table == $name)] as $claims |
    {profile, tables: $tables, claims: $claims}' "$scratch/claims.json" > "$scratch/both.json"
  mv "$scratch/both.json" "$scratch/claims.json"
fi
mv "$scratch/claims.json" "$out/claims.json"
"$flipbench" report --paper --from "$out/claims.json" --format markdown --out docs/findings.md
"$flipbench" report --paper --from "$out/claims.json" --format html --out "$out/paper.html"

sqlite3 -json "$scratch/flipbench.db" "SELECT p.directory, p.cell_id, p.started, p.commit_id, p.dirty, p.cpu, p.precision, p.threads,
  p.data_fingerprint, round(s.samples_per_second, 1) AS samples_per_second, round(s.lost_share, 3) AS lost_share,
  round(s.peak_bytes) AS peak_bytes, round(s.final_loss, 5) AS final_loss, round(s.zero_shot_top1, 5) AS zero_shot_top1
  FROM v_provenance AS p JOIN v_cell_summary AS s USING (run_id) WHERE p.status = 'finished' GROUP BY run_id" |
  jq -c '.[]' > "$scratch/runs.jsonl"
if [ $kept = 1 ]; then cat "$out/runs.jsonl" >> "$scratch/runs.jsonl"; fi
jq -cs 'unique_by([.started, .directory])[]' "$scratch/runs.jsonl" > "$out/runs.jsonl"
