# text_mask_mode syntax: a lexicon decides which words are kept; without it a run does not start, and with
# another one it does not resume.
. "$SOURCE/tests/support/training.sh"
make_data
cat >> run.yaml <<Y
text_mask_mode: syntax
text_mask_ratio: 0.5
Y
train --out missing -s text_mask_lexicon=nowhere.yml 2>message && fail "a run began without its lexicon"
grep -q "text_mask_lexicon: nowhere.yml: no such file: install Debian's liblingua-en-tagger-perl" message ||
  fail "$(cat message)"
printf -- '--- #YAML:1.0\nred: { jj: 50, nn: 13 }\na: { det: 9 }\n' >words.yml
train --out one -s text_mask_lexicon=words.yml -s data.workers=1
train --out three -s text_mask_lexicon=words.yml -s data.workers=3
[ "$(field step loss one/events.jsonl)" = "$(field step loss three/events.jsonl)" ] ||
  fail "the number of loader threads changed the losses"
train --out blocks -s text_mask_mode=truncate
[ "$(field step loss one/events.jsonl)" = "$(field step loss blocks/events.jsonl)" ] &&
  fail "syntax kept what truncate keeps"
[ -n "$(field start lexicon_fingerprint one/events.jsonl)" ] || fail "the start event names no lexicon"
field start lexicon_fingerprint blocks/events.jsonl | grep -q . && fail "a lexicon is named that no mask used"
printf 'red: { nn: 1 }\n' >>words.yml
train --out one -s text_mask_lexicon=words.yml --resume 2>message && fail "the run resumed with another lexicon"
grep -q 'was made with another text_mask_lexicon: fingerprint .*, but words.yml now has' message || fail "$(cat message)"
