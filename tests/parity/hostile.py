"""Strings that are hard on tokenizers, the same each time; shared by the fixture scripts."""
import random
import unicodedata

WORDS = ["red", "Heart", "CAFÉ", "naïve", "Ångström", "straße", "İstanbul", "ΣΊΣΥΦΟΣ", "ΑΣ.", "ΌΣΟΣ'", "don't", "e.g.",
         "x"*99, "x"*100, "x"*101, "é"*100, "数字", "漢字かな交じり", "한국어", "العربية", "हिन्दी", "ไทย",
         "👍🏽", "👩‍👩‍👧", "ﬁsh", "½", "№5", "a\u0301", "e\u0301\u0302", "\u200bzero", "soft\u00adhyphen",
         "tab\tbed", "new\nline", "\u00a0nbsp\u3000wide", "\ufeffbom", "nul\u0001ctl", "##ing", "dog's", "they'RE",
         "we've", "I'm", "you'll", "he'd", "can't", "rock'n'roll", "''s", "'", "'ſ", "123", "3.14", "٣٤", "x²", "½⅓",
         "a-b_c/d\\e", "“quoted”", "‘single’", "…", "—", "$5.00", "C++", "100%", "Ⅷ", "ǅ", "Ĳ", "ß", "ŉ", "ﷺ", "\u0130",
         "\U0001d400\U0001d401", "\u2028sep", "q\u0307\u0323", "¡¿", "£€¥", "°C", "µm", "ªº", "\ufffd", "#hashtag",
         "@user", "http://x.org/?a=1&b=2", "<b>bold</b>", "a<b", "&amp;", "&lt;p&gt;", "&amp;amp;", "&eacute;t&eacute;",
         "&EACUTE;", "&SZLIG;", "&notit;", "&not", "&copy2024", "&#233;", "&#x1F600;", "&#150;", "&#0;", "&#xD800;",
         "&#1;", "&#99999999;", "&;", "&", "&#", "&#x;", "&nosuch;", "&NotEqualTilde;", "&semi;", "&AMP", "AT&T",
         "ＦＵＬＬ", "ｶﾞｷﾞ", "ﾊﾟ", "\x1b[36;44mblue\x1b[0m", "\x85next", "line\r\nbreak", "\x7f", "\u00ad", "🇩🇪", "①②",
         "가", "가", "Å", "Ω", "ﬀ", "ſ", "ǆ", "\u1e9e", "ẞ", "Ⅻ", "ª", "ʰ", "ˆ", "ͺ", "ϲ", "ҐЄ", "ԱՎ", "ႠႡ", "Ꭰ", "𐐀"]


def assigned(low, high, newest):
    """Characters of [low, high) that Unicode had at version `newest`, surrogates and private use apart."""
    return [chr(c) for c in range(low, high) if newest.category(chr(c)) not in ("Cn", "Cs", "Co")]


def strings(count, newest=unicodedata, seed=11):
    """`count` different strings: the words, single characters between letters, and mixtures."""
    rng = random.Random(seed)
    low = assigned(1, 0x250, newest)
    high = assigned(0x250, 0x3400, newest) + assigned(0xF900, 0xFFFE, newest) + assigned(0x10000, 0x1F000, newest)
    emoji = [chr(c) for c in range(0x1F300, 0x1FAFF) if unicodedata.category(chr(c)) != "Cn"]
    cjk = rng.sample(assigned(0x4E00, 0x9FA0, newest), 200) + rng.sample(assigned(0xAC00, 0xD7A0, newest), 100)
    singles = low + rng.sample(high, 3300) + rng.sample(emoji, 200) + cjk
    made = dict.fromkeys(WORDS)
    for c in singles:
        made["a" + c + "b"] = None
        if len(made) % 3 == 0:
            made["A " + c + c.upper() + " 7" + c] = None
    while len(made) < count:
        parts = [rng.choice(rng.choice([WORDS, WORDS, low, singles])) for _ in range(rng.randrange(1, 9))]
        text = parts[0]
        for part in parts[1:]:
            text += rng.choice([" ", " ", "", ", ", "-", "  ", "\n", "'"]) + part
        made[text] = None
    return list(made)[:count]
