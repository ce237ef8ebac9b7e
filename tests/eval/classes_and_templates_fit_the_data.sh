# A class list is checked against the data, classes are distinguished by their labels, and a template
# without a place for the name is refused.
. "$SOURCE/tests/support/training.sh"
make_data
train --out run --set eval.points=0 2>/dev/null
number() { grep -o "\"$1\":[0-9.e-]*" "$2" | cut -d: -f2; }
set_with() { printf 'name: s\nimages: [data/heldout-*.tar]\ntasks: [zeroshot, probe]\nlabel: shape\ntemplates: ["a {}"]\n%s\n' "$*" > set.yaml; }
tar xOf data/heldout-00000.tar --wildcards '*.json' | grep -o '"shape":"[a-z]*"' | cut -d'"' -f4 | sort -u > labels.txt
count=$(wc -l < labels.txt)
set_with
expect_status 0 "$FLIP" eval zeroshot -m run -f set.yaml --json
mv out.txt all.txt

# Byte order mark, CR LF, blank lines and blanks at the ends do no harm.
{ printf '\xef\xbb\xbf'; sed 's/.*/ & \t& \r/' labels.txt; printf '\r\n  \r\n'; } > marked.txt
set_with 'class_file: marked.txt'
expect_status 0 "$FLIP" eval zeroshot -m run -f set.yaml --json
diff all.txt out.txt || fail "a byte order mark changes the numbers"
[ ! -s err.txt ] || fail "it is warned of"

# A label twice, another separator, too many columns, another encoding.
{ cat labels.txt; printf ' \t\n'; head -1 labels.txt; } > twice.txt
set_with 'class_file: twice.txt'
expect_status 2 "$FLIP" eval zeroshot -m run -f set.yaml
expect_line err.txt "twice.txt:$((count + 2)): duplicate label '$(head -1 labels.txt)'"
sed 's/.*/& a &/' labels.txt > blank.txt
set_with 'class_file: blank.txt'
expect_status 2 "$FLIP" eval zeroshot -m run -f set.yaml
expect_line err.txt "no image belongs to a class: label 'shape' of the data is .*in a class file, a tab separates"
sed 's/.*/&\ta &\tmore/' labels.txt > columns.txt
set_with 'class_file: columns.txt'
expect_status 2 "$FLIP" eval zeroshot -m run -f set.yaml
expect_line err.txt 'columns.txt:1: more than two columns'
# A name that is missing, as when `paste` has too few: the label does not replace it.
sed '$s/.*/&\t /; $!s/.*/&\ta &/' labels.txt > unnamed.txt
set_with 'class_file: unnamed.txt'
expect_status 2 "$FLIP" eval zeroshot -m run -f set.yaml
expect_line err.txt "unnamed.txt:$count: '$(tail -1 labels.txt)' has a tab but no name"
iconv -t UTF-16 labels.txt > wide.txt
set_with 'class_file: wide.txt'
expect_status 2 "$FLIP" eval zeroshot -m run -f set.yaml
expect_line err.txt 'wide.txt: is not UTF-8'

# A class without an image and an image without a class are counted and named.
{ tail -n +2 labels.txt; echo unicorn; } > other.txt
set_with 'class_file: other.txt'
expect_status 0 "$FLIP" eval zeroshot -m run -f set.yaml --json
expect_line err.txt "1 of $count classes has no image: 'unicorn'"
expect_line err.txt "images? ha(s|ve) a label that is not a class: '$(head -1 labels.txt)' \([0-9]+\)"

# min_images leaves out a class that is listed, too.
tar xOf data/heldout-00000.tar --wildcards '*.json' | grep -o '"shape":"[a-z]*"' | cut -d'"' -f4 | sort | uniq -c > counts.txt
most=$(awk '{ print $1 }' counts.txt | sort -nu | tail -2 | head -1)
[ "$(awk -v n="$most" '$1 >= n' counts.txt | wc -l)" -gt 1 ] || fail "no two classes have enough images"
set_with "min_images: $most"
expect_status 0 "$FLIP" eval zeroshot -m run -f set.yaml --json
mv out.txt frequent.txt
set_with "min_images: $most
classes: [$(paste -sd, labels.txt), unicorn]"
expect_status 0 "$FLIP" eval zeroshot -m run -f set.yaml --json
diff frequent.txt out.txt || fail "min_images leaves out other classes where they are listed"
expect_line err.txt "1 of $((count + 1)) classes has no image: 'unicorn'"
expect_line err.txt 'have a label that is not a class'

# Two classes of one name stay two: torch's order decides between their equal scores, and the probe
# looks at labels alone.
sed "1,2s/.*/&\ta thing/" labels.txt > same.txt
set_with 'class_file: same.txt'
expect_status 0 "$FLIP" eval zeroshot -m run -f set.yaml --json
[ "$(number classes out.txt)" = "$count" ] || fail "classes of one name were made one"
set_with
expect_status 0 "$FLIP" eval probe -m run -f set.yaml --train set.yaml --c 1 --json
mv out.txt probe.txt
set_with 'class_file: same.txt'
expect_status 0 "$FLIP" eval probe -m run -f set.yaml --train set.yaml --c 1 --json
diff probe.txt out.txt || fail "the probe told classes apart by name"

# Templates.
for template in 'a photo' 'a {0}' 'a {name}' 'a {' 'lambda c: f"a {c.lower()}"' 'a {} of {1}'; do
  set_with; sed -i '/^templates/d' set.yaml
  printf "templates: ['%s']\n" "$template" >> set.yaml
  expect_status 2 "$FLIP" eval zeroshot -m run -f set.yaml
  expect_line err.txt 'set.yaml:[0-9]+:[0-9]+: template'
  printf 'a {}\n%s\n' "$template" > templates.txt
  sed -i 's/^templates.*/template_file: templates.txt/' set.yaml
  expect_status 2 "$FLIP" eval zeroshot -m run -f set.yaml
  expect_line err.txt 'templates.txt:2: template'
done
set_with; sed -i 's/"a {}"/"a b c d e f g h i j k l m n o p q {}"/' set.yaml
expect_status 2 "$FLIP" eval zeroshot -m run -f set.yaml
expect_line err.txt "the class name is beyond text.length 12"
mkdir -p tree/cat; tar xf data/heldout-00000.tar -C tree/cat --wildcards '0000000[01].png'
expect_status 2 "$FLIP" data verify 'imagenet:tree#template=a photo of {0}'
expect_line err.txt "'\{0\}' is not a placeholder"

# YAML's null is a key that was not given.
set_with 'class_file: ~
limit: Null'
expect_status 0 "$FLIP" eval zeroshot -m run -f set.yaml --json
diff all.txt out.txt || fail "null is taken for a value"

# White space at the ends is no part of a label, in the data as in a list.
mkdir ends; tar xf data/heldout-00000.tar -C ends
sed -i 's/"shape":"\([a-z]*\)"/"shape":" \1\\t\\n"/' ends/0000000[0-9].json
tar cf ends.tar -C ends $(ls ends)
set_with; sed -i 's/^images.*/images: [ends.tar]/' set.yaml
expect_status 0 "$FLIP" eval zeroshot -m run -f set.yaml --json
diff all.txt out.txt || fail "white space makes another class"
set_with "classes: [$(sed 's/.*/"& "/' labels.txt | paste -sd,)]"; sed -i 's/^images.*/images: [ends.tar]/' set.yaml
expect_status 0 "$FLIP" eval zeroshot -m run -f set.yaml --json
diff all.txt out.txt || fail "white space in a list makes another class"

# A blank name is none, nor is a blank label.
set_with "classes: [$(paste -sd, labels.txt)]
class_names: ['', $(tail -n +2 labels.txt | paste -sd,)]"
expect_status 2 "$FLIP" eval zeroshot -m run -f set.yaml
expect_line err.txt "class '$(head -1 labels.txt)' has a blank name"
mkdir blank; tar xf data/heldout-00000.tar -C blank
sed -i 's/"shape":"[a-z]*"/"shape":" "/' blank/00000003.json
tar cf blank.tar -C blank $(ls blank)
set_with; sed -i 's/^images.*/images: [blank.tar]/' set.yaml
expect_status 0 "$FLIP" eval zeroshot -m run -f set.yaml --json
[ "$(number images out.txt)" = 39 ] || fail "a blank label is a class"
expect_line err.txt "1 image has no label 'shape'"

# A vocabulary that knows none of the names: all prompts are equal, and an accuracy would be the share of one class.
set_with "classes: [$(paste -sd, labels.txt)]
class_names: [$(printf '%s\n' 一 二 三 四 五 六 七 八 九 十 百 千 | head -n "$count" | paste -sd,)]"
expect_status 2 "$FLIP" eval zeroshot -m run -f set.yaml
expect_line err.txt 'no template tells the classes apart: the vocabulary contains none of their names'

# However many samples cannot be read, all are named, and what follows them.
mkdir many; tar xf data/heldout-00000.tar -C many
for file in many/*.png; do
  for copy in 1 2 3; do
    name=${file%.png}$copy-$(printf 'x%.0s' $(seq 60))
    head -c 40 "$file" > "$name.png"; cp "${file%.png}.txt" "$name.txt"; cp "${file%.png}.json" "$name.json"
  done
done
tar cf many.tar --sort=name --format=ustar -C many .
printf 'name: s\nimages: [many.tar]\ntasks: [zeroshot]\nlabel: shape\ntemplates: ["a {}"]\nclasses: [%s, unicorn]\n' "$(paste -sd, labels.txt)" > set.yaml
expect_status 0 "$FLIP" eval zeroshot -m run -f set.yaml --json
[ "$(grep -c 'damaged PNG' err.txt)" = 120 ] || { tail -3 err.txt; fail "$(grep -c 'damaged PNG' err.txt) of 120 damaged images are named"; }
expect_line err.txt "has no image: 'unicorn'"
