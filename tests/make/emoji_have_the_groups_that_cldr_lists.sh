# A sequence has the group that CLDR lists it in, one that is not listed that of its first character.
font=/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf
[ -f $font ] || { echo "skipped: apt install fonts-noto-color-emoji"; exit 77; }
mkdir -p cldr/annotations cldr/annotationsDerived cldr/properties
annotate() {
  echo '<ldml><annotations>'
  while read -r sequence name; do echo "<annotation cp=\"$sequence\" type=\"tts\">$name</annotation>"; done
  echo '</annotations></ldml>'
}
annotate > cldr/annotations/en.xml <<'E1'
👩 woman
🚀 rocket
😀 grinning face
E1
annotate > cldr/annotationsDerived/en.xml <<'E2'
👩‍🚀 woman astronaut
👩‍⚕ woman health worker
👩‍🦯 woman with white cane
👨‍🚒 man firefighter
E2
cat > cldr/properties/labels.txt <<'E3'
# the selector U+FE0F is in one of the two only
[👦-👩] ; People ; person
[{👩‍🚀}{👩‍⚕️}🧔] ; People ; person-role
[🚀\-{👨‍👩}] ; Travel ; air
E3
"$FLIP" data emoji --cldr cldr --out out --size 16 --no-progress > told.txt
expect_line told.txt 'out: 6 emoji of 7 named characters \(1 shard\); 0 not .*, 1 without a group'
tar xf out/emoji-00000.tar
for file in 0*.json; do sed -E 's/.*"subgroup":"([^"]*)","name":"([^"]*)".*/\2: \1/' "$file"; echo; done | grep . | sort > groups.txt
diff - groups.txt <<'E4'
man firefighter: person
rocket: air
woman astronaut: person-role
woman health worker: person-role
woman with white cane: person
woman: person
E4
