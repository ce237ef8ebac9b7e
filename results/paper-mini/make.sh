#!/usr/bin/env bash
# Writes everything in this folder, and docs/findings.md, from the record of the runs:
#   results/paper-mini/make.sh RESULTS      the results folder of 'flipbench run experiments/paper/*.yaml --profile mini'
# The database is copied first, so that cells may still be running.
set -euo pipefail
cd "$(dirname "$0")/../.."
results=$(realpath "${1:?the results folder}") out=results/paper-mini flipbench=${FLIPBENCH:-build/bin/flipbench}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
sqlite3 "$results/flipbench.db" ".backup $scratch/flipbench.db"
bench() { local command=$1; shift; "$flipbench" "$command" "$@" --results "$results" --db "$scratch/flipbench.db"; }
rm -rf "$out"/figures
mkdir -p "$out/figures"
for file in experiments/paper/*.yaml; do
  name=$(basename "$file" .yaml)
  left=$(sqlite3 "$scratch/flipbench.db" "SELECT count(*) FROM v_cell_latest WHERE experiment = '$name@mini' AND status IS NOT 'finished'")
  known=$(sqlite3 "$scratch/flipbench.db" "SELECT count(*) FROM v_cell_latest WHERE experiment = '$name@mini'")
  if [ "$known" = 0 ] || [ "$left" != 0 ]; then
    echo "$name: $left of $known cells are not finished; left out"
    rm -f "$out/$name".{md,csv}
    continue
  fi
  bench report "$name@mini" --format markdown --out "$out/$name.md"
  bench report "$name@mini" --format csv --out "$out/$name.csv"
  bench plot "$name@mini" --figure accuracy_vs_time --format png --out "$scratch/$name" > /dev/null
  mv "$scratch/$name/accuracy_vs_time.png" "$out/figures/$name.png"
done
bench report --paper --profile mini --format json --out "$out/claims.json"
"$flipbench" report --paper --from "$out/claims.json" --format markdown --out docs/findings.md
"$flipbench" report --paper --from "$out/claims.json" --format html --out "$out/paper.html"
sqlite3 -json "$scratch/flipbench.db" "SELECT p.directory, p.cell_id, p.started, p.commit_id, p.dirty, p.cpu, p.precision, p.threads,
  p.data_fingerprint, round(s.samples_per_second, 1) AS samples_per_second, round(s.lost_share, 3) AS lost_share,
  round(s.peak_bytes) AS peak_bytes, round(s.final_loss, 5) AS final_loss, round(s.zero_shot_top1, 5) AS zero_shot_top1
  FROM v_provenance AS p JOIN v_cell_summary AS s USING (run_id) WHERE p.status = 'finished' GROUP BY run_id ORDER BY p.started" |
  sed 's/^\[//; s/\]$//; s/},$/}/' > "$out/runs.jsonl"
