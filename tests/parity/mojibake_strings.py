"""Captions of many scripts, rightly and wrongly decoded, the same each time; shared by the fixture scripts."""
import random

from ftfy import bad_codecs, chardata

bad_codecs.ok()

TEXTS = """Café crème à la française, dès 3,50 € – « déjà vu »
Où est l'hôtel ? À côté de la forêt, où naît le Rhône.
voilà le travail: fête, garçon, cœur, œuvre, Noël, aïe
Größe: 42 – schöne Schuhe für Mädchen, weiß/grün, süß
Straße, Übung, Äpfel, Öl, Füße, Maß – “Qualität”
¿Dónde está el niño? ¡Mañana será otro día, señor Núñez!
São Paulo às margens; coração, pão, não, àquela ação, à noite
àquele lugar é ótimo; você quer pôr três avós lá?
L’Hospitalet: això és fàcil, l'àvia, paraŀlel, çà i llà
Zażółć gęślą jaźń – Łódź, święto, źródło, ćma
Příliš žluťoučký kůň úpěl ďábelské ódy, řeka, šťáva
Árvíztűrő tükörfúrógép, őszi erdő, új szőlő
Şişli’de güneşli bir gün, İstanbul’un ığdır çiçeği, yağmur
Țară frumoasă, înălțime, pâine, știință, fată
Съешь ещё этих мягких французских булок, да выпей чаю
Красивая собака на пляже – «фото» № 5
Їжак і ґанок, п’ять яблук, Київ
Бързата лиса прескача мързеливото куче
Љубав, њива, џак, ђак, ћуп, Ђорђе
Ξεσκεπάζω την ψυχοφθόρα βδελυγμία, μια όμορφη μέρα
Ελλάδα: «θάλασσα» και ήλιος – 20 €
Āboliņš, ģimene, ķīlis, ļoti, ņemt, šķūnis, ūdens, žurka
Ąžuolas, ęda, ėmė, įkaitęs, šalis, ųjų, ūkis, žiema
Æbleskiver på Ærø, blåbær, Øresund, år, ø
Þórður á Íslandi, hjólið, sæng, öxl
Sói đen dưới trời mưa, phở bò, Việt Nam, ủa
قطة سوداء على السطح، صورة جميلة
זה כלב יפה על החוף, תמונה
कुत्ता समुद्र तट पर, सुंदर चित्र
แมวดำบนหลังคา ภาพสวย
黑猫在屋顶上,美丽的照片
東京の夜景、きれいな写真です。カメラ
서울의 밤 풍경, 아름다운 사진
It’s a “great” photo – isn’t it? … 100 % cotton™ © 2019 ® Ltd.
½ price: 10² m³ ± 5 °C, 3 × 4 ÷ 2 µm, £5, ¥100, ¢99, €20
☀ sunny ✔ done ♥ love ★★★ → next • item · dot
👍🏽 Dog 🐶 on the beach 🏖️ 🇩🇪 👩‍👩‍👧 😍😂
𝒥ohn 𝔸𝔹 𐐀 𝐛𝐨𝐥𝐝
naïve résumé, jalapeño piñata, Ångström, Motörhead, Beyoncé
Poké Ball – Pokémon™ “Gotta Catch ’Em All!” T‑shirt
a dog on the beach
Vintage wooden chair, 3D model, free download (PSD + AI)
STOCK PHOTO: Young woman drinking coffee -- 50% off!!!
iPhone 6/6s Plus case w/ glitter & stand | Amazon.com
IMG_2034.JPG
¯\\_(ツ)_/¯ (╯°□°)╯︵ ┻━┻ ಠ_ಠ (ò_ó) ʕ•ᴥ•ʔ
│ box ─ drawing ┌┐ ╔═╗ ▀▄█ ░▒▓ │
MACRON ¯ CEDILLA ¸ CARON ˇ BREVE ˘ OGONEK ˛ TILDE ˜ DAGGER † ‡ ‰
§ 5 Abs. 2 ¶ 3 ª º ¬ ¦ ¨ ´ · ¡ ¿ ª
√2 ≈ 1.41 ≠ ∞ ∂ ∆ ∏ ∑ ∫ ≤ ≥ ◊ ﬁ ﬂ Ω π""".split("\n")

CODECS = chardata.CHARMAP_ENCODINGS
STRICT = ["latin-1", "cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1257", "iso-8859-2", "mac_roman", "cp437",
          "ascii"]
TABLE = sorted({bytes([b]).decode(c) for c in CODECS for b in range(0x80, 0x100)})
PLAIN = list("abcdez AEZ,.?!'_-0159 \n\t&;<") + ["\x1a", "\ufffd", "\x1b[1m", "\r\n", "\u2028", "\u3000", "ｶ", "É", "́"]


def misread(rng, text, codec):
    """The UTF-8 of `text` read as `codec`."""
    data = text.encode("utf-8", "surrogatepass")
    return data.decode(codec, "replace") if codec in STRICT else data.decode(codec, rng.choice(["strict", "replace"]))


def cesu(text):
    """`text` by way of UTF-16, its halves in UTF-8, read as Latin-1."""
    units = text.encode("utf-16-le")
    made = "".join(chr(units[i] | units[i + 1] << 8) for i in range(0, len(units), 2))
    return made.encode("utf-8", "surrogatepass").decode("latin-1")


def damage(rng, text):
    kind = rng.randrange(9)
    at = rng.randrange(len(text) + 1)
    if kind == 0:
        return text.replace("\xa0", " ")
    if kind == 1:
        return text.replace("\x81", "\ufffd").replace("\x9d", "\ufffd").replace("\x8d", "?")
    if kind == 2:
        return text[:at] + rng.choice(["\ufffd", "?", "\x1a"]) + text[at + 1:]
    if kind == 3:
        return text[:at]
    if kind == 4:
        return text[:at] + rng.choice(TABLE) + text[at:]
    if kind == 5:
        return text.upper() if rng.random() < 0.3 else text.lower()
    if kind == 6:
        return text.replace("&", "&amp;").replace("é", "&eacute;").replace("Ã", "&Atilde;").replace("â", "&acirc;")
    if kind == 7:
        return text.replace(" ", rng.choice(["\n", "\r\n", "  ", "\xa0"]))
    return text[at:]


def piece(rng):
    text = rng.choice(TEXTS)
    if rng.random() < 0.5:
        words = text.split(" ")
        first = rng.randrange(len(words))
        text = " ".join(words[first:first + rng.randrange(1, 6)])
    return text


def wrong(rng):
    text = piece(rng)
    if rng.random() < 0.06:
        return cesu(text)
    for _ in range(rng.choice([1, 1, 1, 1, 2, 2, 3])):
        text = misread(rng, text, rng.choice(CODECS + CODECS + STRICT))
    if rng.random() < 0.45:
        text = damage(rng, text)
    return text[:700]


def soup(rng):
    """Characters of the table with and without sense."""
    made = ""
    for _ in range(rng.randrange(1, 12)):
        made += rng.choice([rng.choice(TABLE), rng.choice(TABLE) + rng.choice(TABLE), rng.choice(PLAIN), rng.choice("ÂÃâÐÑØÙ")])
    return made


def strings(count, seed=14):
    rng = random.Random(seed)
    made = dict.fromkeys(TEXTS)
    while len(made) < count:
        kind = rng.randrange(20)
        if kind < 3:
            text = piece(rng) + rng.choice(["", " ", ", ", "\n"]) + piece(rng)
        elif kind < 12:
            text = wrong(rng)
        elif kind < 16:
            text = rng.choice(["", " ", "<b>", "\n"]).join(rng.choice([wrong, piece])(rng) for _ in range(rng.randrange(2, 5)))
        elif kind < 18:
            text = soup(rng)
        else:
            text = damage(rng, piece(rng))
        text = text.replace("\0", "")
        if not any(0xD800 <= ord(c) < 0xE000 for c in text):
            made[text] = None
    return list(made)[:count]
