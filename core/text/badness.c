#include "text/badness.h"

#include <uchar.h>

#include "text/mojibake.h"
#include "text/utf8.h"

/* Short names, so that a rule fits on a line. */
enum {
  COMMON = CLASS_COMMON,
  C1 = CLASS_C1,
  BAD = CLASS_BAD,
  LAW = CLASS_LAW,
  MONEY = CLASS_CURRENCY,
  OPEN = CLASS_START,
  CLOSE = CLASS_END,
  DIGIT = CLASS_NUMERIC,
  FACE = CLASS_KAOMOJI,
  UPPER = CLASS_UPPER_ACCENTED,
  LOWER = CLASS_LOWER_ACCENTED,
  ACCENTED = CLASS_UPPER_ACCENTED | CLASS_LOWER_ACCENTED,
  LETTER = CLASS_UPPER_COMMON | CLASS_LOWER_COMMON,
  SMALL = CLASS_LOWER_COMMON,
  BOX = CLASS_BOX,
  ODD = CLASS_BOX | CLASS_START | CLASS_END | CLASS_CURRENCY | CLASS_NUMERIC | CLASS_LAW,
  /* not in the table */
  ASCII_SMALL = 1 << 20,
  ASCII_CAPITAL = 1 << 21,
  ASCII_LETTER = ASCII_SMALL | ASCII_CAPITAL,
  SPACE = 1 << 22,
  WORD = 1 << 23
};

/* One element of a rule: a character of these classes, or one of these; `is_not`: none of them. */
typedef struct {
  uint32_t classes;
  const char16_t *characters;
  bool is_not;
} place;

enum { LONGEST_RULE = 5 };

/* What precedes a character that is not ASCII (anything, when empty), and what follows, starting
 * with it. */
typedef struct {
  place before, from[LONGEST_RULE];
} rule;

/* Places of the rules below. */
#define IS(classes)                                                                                \
  { classes, NULL, false }
#define OF(characters)                                                                             \
  { 0, characters, false }
#define ANY(classes, characters)                                                                   \
  { classes, characters, false }
#define NOT(classes)                                                                               \
  { classes, NULL, true }
#define ANYTHING                                                                                   \
  { 0, NULL, false }
#define ARABIC ANY(COMMON | MONEY | BAD | DIGIT | OPEN, u"ŸŠ®°µ»")

static const rule rules[] = {
    {ANYTHING, {IS(C1)}},
    {ANYTHING, {IS(BAD | ACCENTED | ODD), IS(BAD)}},
    {IS(ASCII_LETTER), {IS(LETTER), IS(BAD)}},
    {ANYTHING, {IS(BAD), IS(ACCENTED | ODD)}},
    {ANYTHING, {IS(LOWER | SMALL | BOX | CLOSE | MONEY | DIGIT), IS(UPPER)}},
    {ANYTHING, {IS(BOX | CLOSE | MONEY | DIGIT), IS(LOWER)}},
    {ANYTHING, {IS(LOWER | BOX | CLOSE), IS(MONEY)}},
    {IS(SPACE), {IS(UPPER), IS(MONEY)}},
    {ANYTHING, {IS(UPPER | BOX), IS(DIGIT | LAW)}},
    {ANYTHING, {IS(ACCENTED | BOX | MONEY | CLOSE), IS(OPEN), IS(DIGIT)}},
    {ANYTHING, {IS(ACCENTED | MONEY | DIGIT | BOX | LAW), IS(CLOSE), IS(OPEN)}},
    {ANYTHING, {IS(MONEY | DIGIT | BOX), IS(OPEN)}},
    {IS(ASCII_SMALL), {IS(UPPER), IS(OPEN | MONEY)}},
    {ANYTHING, {IS(BOX), IS(FACE)}},
    {ANYTHING, {IS(ACCENTED | MONEY | DIGIT | OPEN | CLOSE | LAW), IS(BOX)}},
    {ANYTHING, {IS(BOX), IS(CLOSE)}},
    {ANYTHING, {IS(ACCENTED), IS(OPEN | CLOSE), IS(WORD)}},
    {ANYTHING, {OF(u"Œœ"), NOT(ASCII_LETTER)}},
    {ANYTHING, {IS(UPPER), OF(u"°")}},
    /* Windows-1252: Latin letters, Arabic, South Asian scripts, à and á */
    {ANYTHING, {OF(u"ÂÃÎÐ"), ANY(OPEN | CLOSE, u"€œŠš¢£Ÿž\u00A0\u00AD®©°·»–—´")}},
    {ANYTHING, {OF(u"×"), OF(u"²³")}},
    {ANYTHING, {OF(u"ØÙ"), ARABIC, OF(u"ØÙ"), ARABIC}},
    {ANYTHING, {OF(u"à"), OF(u"²µ¹¼½¾")}},
    {ANYTHING, {OF(u"Ã"), OF(u"\u00A0¡")}},
    /* MacRoman */
    {ANYTHING, {OF(u"√"), OF(u"±∂†≠®™´≤≥¥µø")}},
    {ANYTHING, {OF(u"≈"), OF(u"°¢")}},
    {ANYTHING, {OF(u"‚"), OF(u"Ä"), OF(u"ìîïòôúùû†°¢π")}},
    {ANYTHING, {OF(u"‚"), OF(u"âó"), OF(u"àä°ê")}},
    /* Windows-1251, 1253 and 1257 */
    {ANYTHING, {OF(u"в"), OF(u"Ђ")}},
    {ANYTHING, {OF(u"ВГРС"), ANY(C1 | BAD | OPEN | CLOSE | MONEY, u"°µ"), OF(u"ВГРС")}},
    {ANYTHING, {OF(u"β"), OF(u"€"), OF(u"™\u00A0Ά\u00AD®°")}},
    {ANYTHING, {OF(u"ΒΓΞΟ"), ANY(C1 | BAD | OPEN | CLOSE | MONEY, u"°"), OF(u"ΒΓΞΟ")}},
    {ANYTHING, {OF(u"ā"), OF(u"€")}},
    /* Â before the character that it is the encoding of */
    {ANY(ASCII_SMALL | CLOSE, u".,?!"), {OF(u"Â"), ANY(OPEN | CLOSE, u" ")}},
};

static uint32_t classes_of(int32_t c) {
  if (c >= 0x80) return mojibake_rows[mojibake_row_of(c)].classes;
  return c >= 'a' && c <= 'z' ? ASCII_SMALL : c >= 'A' && c <= 'Z' ? ASCII_CAPITAL : 0;
}

static bool has(const char16_t *set, int32_t c) {
  while (*set && *set != c) set++;
  return *set;
}

/* As Python's \s and \w. */
static bool is_space(int32_t c) {
  return utf8_is_space(c) || (c >= 0x1C && c <= 0x1F);
}

static bool is_word(int32_t c) {
  return c == '_' || utf8_is_letter(c) || utf8_is_number(c);
}

static bool fits(const place *p, int32_t c, uint32_t classes) {
  bool is_in = (p->classes & classes) || (p->characters && has(p->characters, c)) ||
               ((p->classes & SPACE) && is_space(c)) || ((p->classes & WORD) && is_word(c));
  return is_in != p->is_not;
}

static bool is_empty(const place *p) {
  return !p->classes && !p->characters;
}

/* Does rule `r` match at c[i]? `classes` are those of c[i - 1] and what follows. */
static bool matches(const rule *r, const int32_t *c, size_t count, size_t i,
                    const uint32_t classes[LONGEST_RULE + 1]) {
  if (!fits(&r->from[0], c[i], classes[1])) return false;
  if (!is_empty(&r->before) && (i == 0 || !fits(&r->before, c[i - 1], classes[0]))) return false;
  for (size_t k = 1; k < LONGEST_RULE && !is_empty(&r->from[k]); k++)
    if (i + k >= count || !fits(&r->from[k], c[i + k], classes[k + 1])) return false;
  return true;
}

/* Ã or Â and a space, at the start or after a small letter and perhaps white space. */
static bool is_spaced_a(const int32_t *c, size_t count, size_t i) {
  if ((c[i] != 0xC3 && c[i] != 0xC2) || i + 1 >= count || c[i + 1] != ' ') return false;
  if (i == 0 || (classes_of(c[i - 1]) & ASCII_SMALL)) return true;
  return i > 1 && is_space(c[i - 1]) && (classes_of(c[i - 2]) & ASCII_SMALL);
}

/* Windows-1251 of Latin-1 of Windows-1252: ГўВЂВ, any character, and a Latin letter or a space. */
static bool is_twice_cyrillic(const int32_t *c, size_t count, size_t i) {
  static const char16_t start[] = u"ГўВЂВ";
  if (count - i < 7 || c[i] != start[0]) return false;
  for (size_t k = 1; k < 5; k++)
    if (c[i + k] != start[k]) return false;
  return c[i + 5] != '\n' && (c[i + 6] == ' ' || (classes_of(c[i + 6]) & ASCII_LETTER));
}

bool badness_is_bad(const int32_t *c, size_t count) {
  uint32_t classes[LONGEST_RULE + 1] = {0}; /* of c[i - 1] … */
  for (size_t k = 0; k < LONGEST_RULE - 1 && k < count; k++) classes[k + 2] = classes_of(c[k]);
  for (size_t i = 0; i < count; i++) {
    for (size_t k = 0; k < LONGEST_RULE; k++) classes[k] = classes[k + 1];
    classes[LONGEST_RULE] = i + LONGEST_RULE - 1 < count ? classes_of(c[i + LONGEST_RULE - 1]) : 0;
    if (c[i] < 0x80 || !classes[1]) continue;
    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++)
      if (matches(&rules[r], c, count, i, classes)) return true;
    if (is_spaced_a(c, count, i) || is_twice_cyrillic(c, count, i)) return true;
  }
  return false;
}
