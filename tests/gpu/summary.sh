# shellcheck shell=bash disable=SC2154 # sourced by run_all.sh, whose variables it uses
# The measured steps next to PyTorch's and the goals, from the rows of all calls: of one model, mask and card the
# newest row of ours and the best of PyTorch's. Two cards are never compared.

# Rows of JSON as KIND, MODEL, MASK, samples/s, MFU, time, card, commit and remark, with tabs between.
summary_rows() { # KIND MODEL COMMIT REMARK FILE
  awk -v OFS='\t' -v kind="$1" -v model="$2" -v commit="$3" -v remark="$4" '
    function number(key) {
      if (!match($0, "\"" key "\": *[-+0-9.eE]+")) return "–"
      value = substr($0, RSTART, RLENGTH); sub(/.*: */, "", value); return value
    }
    function text(key) {
      if (!match($0, "\"" key "\": *\"[^\"]*\"")) return "–"
      value = substr($0, RSTART, RLENGTH); sub(/.*: *"/, "", value); sub(/"$/, "", value); return value
    }
    number("mask_ratio") != "–" && number("samples_per_second") != "–" {
      print kind, model, number("mask_ratio"), number("samples_per_second"), number("mfu"), number("time_ratio"),
        kind == "flip" ? text("device_name") : text("device"), commit, remark
    }' "$5"
}

all_rows() {
  local call file model commit remark
  for call in $(cd "$raw" && find . -mindepth 1 -maxdepth 1 -name '[0-9]*' | sed 's,^\./,,' | sort -n); do
    commit=$(sed -n 's/^commit //p' "$raw/$call/about" 2>/dev/null | cut -c1-8)
    for model in vit_l16 vit_b16 vit_h14; do
      # a mask alone first: rows of all masks have the times relative to the whole image's
      for file in "$raw/$call/${model}"_mask_*.txt "$raw/$call/${model}"_batch_*.txt; do
        remark=-
        case $file in *_named_algorithms.txt) remark="named algorithms only" ;; esac
        case $file in *_mask_*) remark="$remark,alone" ;; esac
        [ ! -s "$file" ] || summary_rows flip $model "${commit:-–}" "$remark" "$file"
      done
      for file in "$raw/$call/torch_${model}_eager"*.txt; do
        [ ! -s "$file" ] || summary_rows eager $model "${commit:-–}" - "$file"
      done
      for file in "$raw/$call/torch_${model}_compiled"*.txt; do
        [ ! -s "$file" ] || summary_rows compiled $model "${commit:-–}" - "$file"
      done
    done
  done
}

summarize() {
  printf '%s\n' "### Compared with PyTorch and the goals" "" \
    "PyTorch's best on the same card; –: not measured there. Time: relative to mask 0." "" \
    "| model | mask | samples/s | PyTorch's best eager | best compiled | over compiled (goal 1.5) | MFU (goal 62 %, at mask 75 % 55 %) | time | card | commit |" \
    "|---|---:|---:|---:|---:|---:|---:|---:|---|---|"
  all_rows | awk -F'\t' '
    { key = $2 FS $3 + 0 FS $7 }
    $1 == "flip" {
      if (!(key in rate)) order[++count] = key
      rate[key] = $4; mfu[key] = $5; commit[key] = $8
      time[key] = $9 ~ /,alone$/ ? "–" : sprintf("%.2f", $6)
      sub(/,alone$/, "", $9); remark[key] = $9 == "-" ? "" : " (" $9 ")"
      next
    }
    { if (!(($1 FS key) in best) || $4 > best[$1 FS key]) best[$1 FS key] = $4 }
    function peer(kind, key) { return (kind FS key) in best ? sprintf("%.0f", best[kind FS key]) : "–" }
    END {
      for (i = 1; i <= count; i++) {
        key = order[i]; split(key, part, FS)
        printf "| %s | %g %% | %.0f | %s | %s | %s | %s | %s | %s | %s |\n", part[1], 100 * part[2], rate[key], peer("eager", key),
          peer("compiled", key), ("compiled" FS key) in best ? sprintf("%.2f", rate[key] / best["compiled" FS key]) : "–",
          mfu[key] == "–" ? "–" : sprintf("%.1f %%", 100 * mfu[key]), time[key], part[3], commit[key] remark[key]
      }
    }'
}
