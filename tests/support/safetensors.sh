# spoil TENSOR FIRST FILE [BYTES]: a NaN, or the BYTES, in place of the tensor's float of that number
spoil() {
  local start at
  start=$(LC_ALL=C grep -aoE "\"$1\":\{\"dtype\":\"F32\",\"shape\":\[[0-9,]*\],\"data_offsets\":\[[0-9]+" "$3" | head -1 | grep -oE '[0-9]+$')
  at=$((8 + $(od -An -tu8 -N8 "$3") + start + 4 * $2))
  printf "${4:-\\0\\0\\300\\177}" | dd status=none of="$3" bs=1 seek="$at" conv=notrunc
  LC_ALL=C sed -i 's/"flip\.checksum/"flip.nochecks/g' "$3"
}
