#!/usr/bin/env python3
"""Shards of several tar dialects and the samples that the webdataset library reads from them, for
tests/parity/test_webdataset.c. Images are short texts: only the reading of tars is compared.

Writes fixtures/webdataset/*.tar and fixtures/webdataset/expected.txt: shard, key, image and caption, one a line each.
"""
import io
import pathlib
import tarfile

import webdataset

here = pathlib.Path(__file__).parent / "fixtures" / "webdataset"
here.mkdir(exist_ok=True)

members = []


def sample(key, image="jpg", caption="txt", json=True):
    members.append((f"{key}.{image}", f"image of {key}"))
    members.append((f"{key}.{caption}", f"caption of {key}"))
    if json:
        members.append((f"{key}.json", '{"n": 1}'))


sample("000000")
sample("000001", "jpeg")
sample("000002", "PNG", "TXT")
sample("000003", "webp", json=False)
sample("a.b/c.d/000004", "png")
sample("./dotted.dir/000005")
sample("ünïcode/日本語")
sample("deep/" * 30 + "n" * 60)
sample("x" * 150)
members.append(("a.b/000006.seg.png", "no image of the sample"))
members.append(("a.b/000006.jpg", "image of a.b/000006"))
members.append(("a.b/000006.txt", "caption of a.b/000006"))
members.append((".hidden", "no sample"))
members.append(("noextension", "no sample"))
members.append(("textonly.txt", "no image"))
members.append(("imageonly.jpg", "no caption"))
members.append(("split.jpg", "image here"))
members.append(("other.txt", "between"))
members.append(("split.txt", "and caption there: two samples"))

for name, form in (("ustar", tarfile.USTAR_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
    with tarfile.open(here / f"{name}.tar", "w", format=form) as tar:
        folder = tarfile.TarInfo("a.b")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for member, text in members:
            data = text.encode()
            info = tarfile.TarInfo(member)
            info.size = len(data)
            try:
                tar.addfile(info, io.BytesIO(data))
            except ValueError:  # ustar: a name that its header cannot hold
                assert name == "ustar"
with webdataset.TarWriter(str(here / "writer.tar"), mtime=0) as writer:
    for i in range(3):
        writer.write({"__key__": f"w{i:03d}", "jpg": f"image of w{i}".encode(), "txt": f"caption of w{i}", "json": {"n": i}})

lines = []
for path in sorted(here.glob("*.tar")):
    for read in webdataset.WebDataset(str(path), shardshuffle=False):
        image = next((read[e] for e in ("jpg", "jpeg", "png", "webp") if e in read), None)
        if image is not None and "txt" in read:
            lines += [path.name, read["__key__"], image.decode(), read["txt"].decode()]
(here / "expected.txt").write_text("\n".join(lines) + "\n")
print(len(lines) // 4, "samples")
