/* Every format of source.h, on files made here. */
#include "support/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "read/dataset.h"
#include "image/image.h"
#include "read/record.h"
#include "read/shard_list.h"
#include "scenes/scenes.h"
#include "read/shard_writer.h"
#include "image/shrink.h"
#include "support/folder.h"

static char folder[] = "/tmp/flip-sources-XXXXXX";

static void write_text(const char *name, const char *text) {
  char *path = fs_join(folder, name), *slash = strrchr(path, '/');
  *slash = '\0';
  assert_ok(fs_make_folders(path));
  *slash = '/';
  assert_ok(fs_write_atomic(path, text, strlen(text)));
  free(path);
}

/* An image of one colour, to identify which one was read. */
static void write_picture(const char *name, uint8_t grey) {
  image picture;
  uint8_t *bytes;
  size_t size;
  write_text(name, "");
  char *path = fs_join(folder, name);
  assert_ok(image_allocate(4, 4, &picture));
  memset(picture.pixels, grey, 4 * 4 * 3);
  assert_ok(shrink_encode_png(&picture, &bytes, &size));
  assert_ok(fs_write_atomic(path, bytes, size));
  free(bytes);
  free(path);
  image_free(&picture);
}

/* Opens "%s" in `pattern` replaced by the folder. */
static dataset *open_one(const char *pattern) {
  char name[512], *names[] = {name};
  dataset *d;
  snprintf(name, sizeof name, pattern, folder, folder, folder);
  assert_ok(dataset_open(names, 1, &d));
  return d;
}

static void refuse_one(const char *pattern, const char *message) {
  char name[512], *names[] = {name};
  dataset *d;
  snprintf(name, sizeof name, pattern, folder, folder);
  assert_fails_with(dataset_open(names, 1, &d), message);
}

/* Row `row` has this caption and a picture whose first value is `grey`. */
static void expect(const dataset *d, int64_t row, const char *caption, int grey) {
  dataset_sample s;
  image picture;
  assert_ok(dataset_read(d, row, &s));
  assert_string_equal(s.caption, caption);
  assert_ok(image_decode(s.image, s.image_bytes, 0, &picture));
  assert_int_equal(picture.pixels[0], grey);
  image_free(&picture);
  dataset_sample_free(&s);
  assert_ok(dataset_read_text(d, row, &s));
  assert_string_equal(s.caption, caption);
  assert_null(s.image);
  dataset_sample_free(&s);
}

static void expect_label(const dataset *d, int64_t row, const char *name, const char *wanted) {
  dataset_sample s;
  char *value;
  assert_ok(dataset_read_text(d, row, &s));
  assert_ok(sample_label(s.json, name, &value));
  assert_non_null(value);
  assert_string_equal(value, wanted);
  free(value);
  dataset_sample_free(&s);
}

static void a_folder_gives_its_images_with_their_text_files(void **state) {
  (void)state;
  write_picture("tree/b/2.png", 20);
  write_text("tree/b/2.txt", "second");
  write_picture("tree/a_cat/1.png", 10);
  write_text("tree/a_cat/1.txt", "first");
  write_picture("tree/a_cat/deep/3.png", 30);
  write_text("tree/a_cat/notes.md", "no image");
  int64_t left_out;
  dataset *d = open_one("%s/tree");
  assert_int_equal(dataset_count(d), 2);
  assert_non_null(strstr(dataset_warnings(d, &left_out), "3.png: has no caption (.txt)"));
  assert_int_equal(left_out, 1);
  expect(d, 0, "first", 10);
  expect(d, 1, "second", 20);
  expect_label(d, 0, "class", "a cat");
  dataset_close(d);
  d = open_one("folder:%s/tree#template=a drawing of a {}");
  assert_int_equal(dataset_count(d), 3);
  expect(d, 1, "a drawing of a a cat", 30);
  dataset_close(d);
}

static void imagenets_folders_are_named_by_a_list(void **state) {
  (void)state;
  write_picture("in/n01440764/x.png", 40);
  write_picture("in/n01443537/y.png", 50);
  write_picture("in/loose.png", 60);
  write_text("names.txt", "n01440764 tench, Tinca tinca\nn01443537\tgoldfish, Carassius auratus\n");
  int64_t left_out;
  dataset *d = open_one("imagenet:%s/in#names=%s/names.txt");
  assert_int_equal(dataset_count(d), 2);
  assert_non_null(strstr(dataset_warnings(d, &left_out), "loose.png: is in no class's folder"));
  assert_int_equal(left_out, 1);
  expect(d, 0, "a photo of a tench", 40);
  expect(d, 1, "a photo of a goldfish", 50);
  expect_label(d, 1, "class", "goldfish");
  expect_label(d, 1, "folder", "n01443537");
  dataset_close(d);
  d = open_one("imagenet:%s/in#names=%s/names.txt,template={}");
  expect(d, 0, "tench", 40);
  dataset_close(d);
}

static void lists_may_quote_and_name_their_columns(void **state) {
  (void)state;
  write_picture("pictures/1.png", 11);
  write_picture("pictures/2.png", 22);
  write_text("list.csv", "\xEF\xBB\xBF"
                         "filepath,title\npictures/1.png,\"one, \"\"two\"\"\nlines\"\n"
                         "pictures/2.png,\n\npictures/2.png,plain\n");
  dataset *d = open_one("%s/list.csv");
  int64_t left_out;
  assert_int_equal(dataset_count(d), 2);
  assert_non_null(strstr(dataset_warnings(d, &left_out), "has no caption"));
  assert_int_equal(left_out, 1);
  expect(d, 0, "one, \"two\"\nlines", 11);
  expect(d, 1, "plain", 22);
  dataset_close(d);
  write_text("other.tsv", "name\talt\n2.png\ttabs, commas\n");
  d = open_one("%s/other.tsv#image=name,caption=alt,images=%s/pictures");
  expect(d, 0, "tabs, commas", 22);
  dataset_close(d);
  refuse_one("%s/other.tsv", "no column image|filepath|file_name|filename|path|file; its header "
                             "has: name, alt");
  refuse_one("%s/list.csv#colour=red", "has no option 'colour'; it takes weight|image|caption");
  refuse_one("%s/captions.parquet", "captions.parquet: cannot open");
  refuse_one("%s/list.csv#weight=-1", "weight '-1' is not a number");
}

static void write_records(const char *name, size_t labels, int records) {
  char *path = fs_join(folder, name);
  size_t size = labels + 3072;
  uint8_t *bytes = calloc((size_t)records, size);
  for (int i = 0; i < records; i++) {
    uint8_t *record = bytes + (size_t)i * size;
    record[0] = (uint8_t)(i % 2);
    if (labels == 2) record[1] = (uint8_t)(1 - i % 2);
    for (size_t plane = 0; plane < 3; plane++)
      memset(record + labels + plane * 1024, 10 * i + (int)plane, 1024);
  }
  assert_ok(fs_write_atomic(path, bytes, size * (size_t)records));
  free(bytes);
  free(path);
}

static void cifars_binary_files_are_read(void **state) {
  (void)state;
  write_text("c10/batches.meta.txt", "airplane\nautomobile\n\n");
  write_text("c100/fine_label_names.txt", "apple\naquarium_fish\n");
  write_text("c100/coarse_label_names.txt", "fruit\nfish\n");
  for (int i = 1; i <= 5; i++) {
    char name[32];
    snprintf(name, sizeof name, "c10/data_batch_%d.bin", i);
    write_records(name, 1, 2);
  }
  write_records("c10/test_batch.bin", 1, 3);
  write_records("c100/test.bin", 2, 2);
  dataset *d = open_one("cifar10:%s/c10");
  assert_int_equal(dataset_count(d), 10);
  expect(d, 9, "a photo of a automobile", 10);
  dataset_close(d);
  d = open_one("cifar10:%s/c10#split=test,template={}");
  assert_int_equal(dataset_count(d), 3);
  expect(d, 2, "airplane", 20);
  dataset_sample s;
  image picture;
  assert_ok(dataset_read(d, 2, &s));
  assert_ok(image_decode(s.image, s.image_bytes, 0, &picture));
  assert_int_equal(picture.width, 32);
  for (int i = 0; i < 3; i++) assert_int_equal(picture.pixels[3 * 1023 + i], 20 + i);
  image_free(&picture);
  dataset_sample_free(&s);
  dataset_close(d);
  d = open_one("cifar100:%s/c100#split=test,labels=coarse");
  expect(d, 0, "a photo of a fruit", 0);
  expect_label(d, 0, "class", "aquarium fish");
  dataset_close(d);
  write_text("c10/test_batch.bin", "short");
  refuse_one("cifar10:%s/c10#split=test", "5 bytes are not a multiple of the record size 3073");
}

static void coco_has_a_row_a_caption_or_a_row_an_image(void **state) {
  (void)state;
  write_picture("val/000000000009.png", 90);
  write_picture("val/000000000025.png", 25);
  write_text("captions.json",
             "{\"images\":[{\"id\":25,\"file_name\":\"000000000025.png\"},"
             "{\"id\":9,\"file_name\":\"000000000009.png\"},{\"id\":7,\"file_name\":\"7.png\"}],"
             "\"annotations\":[{\"image_id\":9,\"id\":1,\"caption\":\"nine\"},"
             "{\"image_id\":25,\"id\":2,\"caption\":\"twenty-five\"},"
             "{\"image_id\":9,\"id\":3,\"caption\":\"nine again\"}]}");
  dataset *d = open_one("%s/captions.json#images=%s/val");
  assert_int_equal(dataset_count(d), 3);
  expect(d, 0, "twenty-five", 25);
  expect(d, 2, "nine again", 90);
  assert_non_null(strstr(dataset_warnings(d, NULL), "image 7.png has no caption"));
  dataset_close(d);
  d = open_one("coco:%s/captions.json#images=%s/val,captions=first");
  assert_int_equal(dataset_count(d), 2);
  expect(d, 1, "nine", 90);
  expect_label(d, 1, "image_id", "9");
  dataset_close(d);
  write_text("broken.json", "{\"images\": []}");
  refuse_one("%s/broken.json", "is it COCO's captions_*.json?");
}

static void open_images_labels_and_narratives_become_captions(void **state) {
  (void)state;
  write_picture("oi/abc.jpg", 7);
  write_text("labels.csv", "ImageID,Source,LabelName,Confidence\nabc,verification,/m/01,1\n"
                           "abc,verification,/m/02,0\nabc,verification,/m/03,1\n");
  write_text("classes.csv", "/m/01,Cat\n/m/03,\"Hat, red\"\n");
  write_text("oi.jsonl", "{\"dataset_id\":\"open_images\",\"image_id\":\"abc\",\"caption\":\"In "
                         "this image\"}\n");
  dataset *d = open_one("openimages:%s/labels.csv#images=%s/oi,names=%s/classes.csv");
  assert_int_equal(dataset_count(d), 1);
  expect(d, 0, "Cat, Hat, red", 7);
  dataset_close(d);
  d = open_one("%s/oi.jsonl#images=%s/oi");
  expect(d, 0, "In this image", 7);
  dataset_close(d);
  refuse_one("narratives:%s/oi", "/oi: cannot read");
}

static void an_image_without_a_positive_label_is_counted(void **state) {
  (void)state;
  write_picture("oi/none.jpg", 8);
  write_picture("oi/some.jpg", 9);
  write_text("absent.csv", "ImageID,Source,LabelName,Confidence\nnone,verification,/m/01,0\n"
                           "none,verification,/m/02,0\nsome,verification,/m/01,1\n");
  int64_t left_out;
  dataset *d = open_one("openimages:%s/absent.csv#images=%s/oi");
  assert_int_equal(dataset_count(d), 1);
  assert_non_null(strstr(dataset_warnings(d, &left_out), "absent.csv:2: the image has no label"));
  assert_int_equal(left_out, 1);
  expect(d, 0, "/m/01", 9);
  dataset_close(d);
  char name[256], *names[] = {name};
  snprintf(name, sizeof name, "openimages:%s/absent.csv#images=%s/oi", folder, folder);
  assert_ok(dataset_open_for(names, 1, DATASET_IMAGE, &d)); /* no caption is needed */
  assert_int_equal(dataset_count(d), 2);
  expect(d, 0, "", 8);
  dataset_close(d);
}

/* OUT-00000.tar in the folder: three samples, "alt" in the JSON of the first two alone. */
static void write_shard(const char *out) {
  shard_writer *w;
  int64_t shards;
  char *prefix = fs_join(folder, out);
  assert_ok(shard_writer_open(prefix, 10, &w));
  assert_ok(shard_writer_add(w, "k0", "png", "p", 1, "zero", "{\"alt\":\"alt zero\"}"));
  assert_ok(shard_writer_add(w, "k1", "png", "p", 1, "one", "{\"alt\":\"alt one\"}"));
  assert_ok(shard_writer_add(w, "k2", "png", "p", 1, "two", "{}"));
  assert_ok(shard_writer_finish(w, &shards));
  shard_writer_close(w);
  free(prefix);
}

static void expect_caption(const dataset *d, int64_t row, const char *caption) {
  dataset_sample s;
  assert_ok(dataset_read(d, row, &s));
  assert_string_equal(s.caption, caption);
  dataset_sample_free(&s);
}

static void shards_may_be_listed_and_take_captions_from_json(void **state) {
  (void)state;
  char list[256];
  write_shard("one");
  write_shard("two");
  snprintf(list, sizeof list, "# two of them\n%s/one-{00000..00000}.tar\n\n %s/tw?-*.tar \r\n",
           folder, folder);
  write_text("shards.txt", list);
  dataset *d = open_one("@%s/shards.txt");
  assert_int_equal(dataset_count(d), 6);
  dataset_close(d);
  d = open_one("%s/one-00000.tar#caption=alt");
  expect_caption(d, 1, "alt one");
  expect_caption(d, 2, "two"); /* the .txt stands in */
  dataset_close(d);
}

static void a_shard_that_is_cut_gives_its_whole_samples(void **state) {
  (void)state;
  write_shard("cut");
  char path[128];
  snprintf(path, sizeof path, "%s/cut-00000.tar", folder);
  assert_int_equal(truncate(path, 512 * 13), 0); /* after header and half of k2.png's block */
  dataset *d = open_one("%s/cut-00000.tar");
  assert_int_equal(dataset_count(d), 2);
  expect_caption(d, 1, "one");
  assert_non_null(strstr(dataset_warnings(d, NULL), "truncated in member k2.png"));
  dataset_close(d);
}

static void expect_cut(const char *name, int64_t samples, const char *warning) {
  char pattern[64];
  snprintf(pattern, sizeof pattern, "%%s/%s", name);
  dataset *d = open_one(pattern);
  const char *warnings = dataset_warnings(d, NULL);
  assert_int_equal(dataset_count(d), samples);
  if (warning)
    assert_non_null(strstr(warnings, warning));
  else
    assert_string_equal(warnings, "");
  dataset_close(d);
}

/* A sample of write_shard has three members of two blocks each. */
static void a_shard_that_ends_between_members_is_reported(void **state) {
  (void)state;
  char path[128];
  write_shard("early");
  snprintf(path, sizeof path, "%s/early-00000.tar", folder);
  assert_int_equal(truncate(path, 512 * (18 + 1)), 0); /* half of the mark is a mark */
  expect_cut("early-00000.tar", 3, NULL);
  assert_int_equal(truncate(path, 512 * (18 + 200)), 0); /* padding */
  expect_cut("early-00000.tar", 3, NULL);
  assert_int_equal(truncate(path, 3 << 20), 0);
  expect_cut("early-00000.tar", 3, "the file's last 3136512 bytes are not read");
  assert_int_equal(truncate(path, 512 * 12), 0);
  expect_cut("early-00000.tar", 2, "ends after 2 samples without an end-of-archive mark");
}

static void what_follows_the_end_of_a_shard_is_reported(void **state) {
  (void)state;
  char command[512];
  write_shard("gap");
  snprintf(command, sizeof command,
           "cd %s && cat gap-00000.tar gap-00000.tar > two.tar &&"
           " dd if=/dev/zero of=gap-00000.tar bs=512 seek=6 count=6 conv=notrunc 2>/dev/null",
           folder);
  assert_int_equal(system(command), 0);
  expect_cut("gap-00000.tar", 1, "ends after 1 sample; the file's last 7168 bytes are not read");
  expect_cut("two.tar", 3, "ends after 3 samples; the file's last");
}

/* Without their holes in the tar, they are no longer their files. */
static void sparse_members_are_skipped_and_named(void **state) {
  (void)state;
  static const char *const formats[] = {"gnu", "pax"};
  char command[512], name[16];
  for (int i = 0; i < 4; i++) {
    snprintf(name, sizeof name, "holes/%d.png", i);
    write_picture(name, (uint8_t)i);
    snprintf(name, sizeof name, "holes/%d.txt", i);
    write_text(name, "text");
  }
  for (int f = 0; f < 2; f++) {
    snprintf(command, sizeof command,
             "cd %s/holes && truncate -s 32K 0.png && : > 1.png && truncate -s 32K 1.png &&"
             " head -c 64K /dev/zero | tr '\\0' x > 2.txt &&"
             " tar cSf ../sparse.tar --format=%s 0.png 0.txt 1.png 1.txt 2.png 2.txt 3.png 3.txt",
             folder, formats[f]);
    assert_int_equal(system(command), 0);
    dataset *d = open_one("%s/sparse.tar");
    const char *warnings = dataset_warnings(d, NULL);
    assert_int_equal(dataset_count(d), 2);
    expect(d, 1, "text", 3);
    assert_non_null(strstr(warnings, "sparse.tar: member 0.png is sparse (tar -S) and skipped"));
    assert_non_null(strstr(warnings, "sparse.tar: member 1.png is sparse (tar -S) and skipped"));
    assert_non_null(strstr(warnings, "sparse.tar: sample 0 has no image"));
    dataset_close(d);
  }
}

static void pipes_run_only_when_they_are_allowed(void **state) {
  (void)state;
  char name[256], *names[] = {name};
  dataset *d;
  write_shard("piped");
  snprintf(name, sizeof name, "pipe:cat %s/piped-00000.tar && touch %s/ran", folder, folder);
  assert_fails_with(dataset_open(names, 1, &d), "data.allow_pipes: false does not allow");
  char *ran = fs_join(folder, "ran");
  assert_false(fs_exists(ran));
  assert_ok(dataset_open_with(names, 1, true, &d));
  assert_true(fs_exists(ran));
  assert_int_equal(dataset_count(d), 3);
  expect_caption(d, 2, "two");
  dataset_close(d);
  snprintf(name, sizeof name, "pipe:exit 3");
  assert_fails_with(dataset_open_with(names, 1, true, &d), "exited with status 3");
  free(ran);
}

/* A range in a command is a shard a number; other braces are the shell's. */
static void a_range_in_a_pipe_is_a_command_a_number(void **state) {
  (void)state;
  char name[256], *names[] = {name};
  dataset *d;
  write_shard("p0");
  write_shard("p1");
  snprintf(name, sizeof name, "pipe:cat %s/p{0..1}-00000.tar | (echo '{x,y}' >&2; cat)", folder);
  assert_ok(dataset_open_with(names, 1, true, &d));
  assert_int_equal(dataset_count(d), 6);
  dataset_close(d);
}

static void a_stream_has_the_fingerprint_of_the_exact_order(void **state) {
  (void)state;
  char first[256], second[256], *names[] = {first, second};
  dataset *exact, *d;
  write_shard("s0");
  write_shard("s1");
  snprintf(first, sizeof first, "%s/s{0..1}-00000.tar", folder);
  snprintf(second, sizeof second, "%s/s0-00000.tar#weight=2", folder);
  assert_ok(dataset_open(names, 2, &exact));
  assert_ok(dataset_open_stream(names, 2, false, &d));
  assert_string_equal(dataset_fingerprint(d), dataset_fingerprint(exact));
  assert_int_equal(dataset_count(d), 0); /* nothing tells it */
  dataset_close(exact);
  dataset_close(d);
}

static void counts_next_to_the_shards_are_read(void **state) {
  (void)state;
  char first[256], second[256], *names[] = {first, second}, path[256];
  const char *uncounted;
  dataset *d;
  write_shard("n0");
  write_shard("n1");
  snprintf(first, sizeof first, "%s/n0-00000.tar", folder);
  snprintf(second, sizeof second, "%s/n1-00000.tar#weight=2", folder);
  snprintf(path, sizeof path, "%s/n0-00000_stats.json", folder);
  static const char stats[] = "{\"count\": 5, \"successes\": 3, \"failed_to_download\": 2}";
  assert_ok(fs_write_atomic(path, stats, sizeof stats - 1));
  assert_ok(dataset_open_stream(names, 2, false, &d));
  assert_int_equal(shard_list_samples(dataset_shards(d), &uncounted), 0);
  assert_non_null(strstr(uncounted, "n1-00000.tar"));
  dataset_close(d);
  snprintf(path, sizeof path, "%s/sizes.json", folder);
  static const char sizes[] = "{\"n1-00000.tar\": 4, \"other.tar\": 9}";
  assert_ok(fs_write_atomic(path, sizes, sizeof sizes - 1));
  assert_ok(dataset_open_stream(names, 2, false, &d));
  assert_int_equal(dataset_count(d), 7);
  assert_int_equal(dataset_epoch(d), 3 + 2 * 4);
  dataset_close(d);
  assert_int_equal(unlink(path), 0);
}

static void what_no_stream_can_read_is_refused(void **state) {
  (void)state;
  char name[256], *names[] = {name}, path[256];
  dataset *d;
  assert_fails_with(dataset_open_stream(&(char *){"scenes:1"}, 1, false, &d),
                    "a source of kind scenes needs data.order: exact");
  assert_fails_with(dataset_open_stream(&(char *){"pipe:true"}, 1, false, &d),
                    "data.allow_pipes: false does not allow");
  assert_fails_with(dataset_open_stream(&(char *){"/nowhere/a.tar"}, 1, false, &d),
                    "/nowhere/a.tar: cannot open");
  snprintf(path, sizeof path, "%s/page.tar", folder);
  assert_ok(fs_write_atomic(path, "<!DOCTYPE html>", 15));
  assert_fails_with(dataset_open_stream(&(char *){path}, 1, false, &d), "is an HTML page");
  write_shard("v");
  snprintf(name, sizeof name, "%s/v-00000.tar#weight=1.5", folder);
  assert_fails_with(dataset_open_stream(names, 1, false, &d),
                    "weight 1.5 of 1 shard is not a whole number of shards");
}

static err open_first(const dataset *d, stream_shard *out) {
  stream_shards s = shard_list_shards(dataset_shards(d));
  return s.open(s.context, s.at(s.context, 0, false, 0, 0), out);
}

static void a_shard_that_changes_during_a_run_is_named(void **state) {
  (void)state;
  char name[256], path[256], command[1024], *names[] = {name};
  stream_shard one;
  dataset *d;
  write_shard("c");
  snprintf(path, sizeof path, "%s/c-00000.tar", folder);
  snprintf(name, sizeof name, "%s", path);
  assert_ok(dataset_open_stream(names, 1, false, &d));
  assert_ok(open_first(d, &one));
  assert_int_equal(one.count, 3);
  stream_shard_close(&one);
  snprintf(command, sizeof command,
           "printf 'zzz' | dd of=%s bs=1 seek=2000 conv=notrunc 2>/dev/null", path);
  assert_int_equal(system(command), 0); /* of the same size */
  assert_fails_with(open_first(d, &one), "has changed since this run first read it");
  snprintf(command, sizeof command, "truncate -s +512 %s", path);
  assert_int_equal(system(command), 0);
  assert_fails_with(open_first(d, &one), "shards must not change during a run");
  dataset_close(d);
}

static void a_weight_is_how_often_an_epoch_shows_a_source(void **state) {
  (void)state;
  char first[256], second[256], third[256], *names[] = {first, second, third};
  dataset *d;
  write_shard("w");
  snprintf(first, sizeof first, "%s/w-00000.tar", folder);
  snprintf(second, sizeof second, "%s/w-00000.tar#weight=2", folder);
  snprintf(third, sizeof third, "%s/w-00000.tar#weight=0.34", folder);
  assert_ok(dataset_open(names, 3, &d));
  assert_int_equal(dataset_count(d), 9);
  assert_int_equal(dataset_epoch(d), 3 + 6 + 1);
  int seen[9] = {0};
  for (int64_t epoch = 0; epoch < 3; epoch++)
    for (int64_t place = 0; place < 10; place++) seen[dataset_row(d, 5, epoch, place)]++;
  for (int i = 0; i < 3; i++) {
    assert_int_equal(seen[i], 3);
    assert_int_equal(seen[3 + i], 6);
    assert_int_equal(seen[6 + i], 1); /* one an epoch: in three epochs each once */
  }
  dataset_close(d);
}

/* Keys are not stored where the tar's headers contain them; long names are elsewhere in it. */
static void keys_of_any_length_are_those_of_their_members(void **state) {
  (void)state;
  enum { KEYS = 6 };
  static const char *const dialects[] = {"gnu", "pax", "ustar"};
  char keys[KEYS][192], deep[128] = "", command[256], pattern[64];
  for (int i = 0; i < 4; i++) strcat(deep, "a_folder_of_thirty_characters/");
  for (int i = 0; i < KEYS; i++) /* short, longer than a header's 100, and by its prefix */
    snprintf(keys[i], sizeof keys[i], "keys/%s%d%0*d", i % 3 == 1 ? deep : "", i,
             i % 3 == 2 ? 120 : 4, 7);
  for (int i = 0; i < KEYS; i++) {
    char name[256];
    snprintf(name, sizeof name, "%.190s.png", keys[i]);
    write_picture(name, (uint8_t)(10 * i));
    snprintf(name, sizeof name, "%.190s.txt", keys[i]);
    if (i != 0 && i != 2) write_text(name, i == 4 ? "" : keys[i]); /* two are left out */
  }
  for (size_t k = 0; k < 3; k++) {
    static const int whole[] = {1, 3, 4, 5};
    int64_t left_out, row = 0;
    snprintf(command, sizeof command,
             "cd %s && find keys -type f | sort -t. -k1,1 | grep -v '%s' |"
             " tar cf %s.tar --format=%s -T -",
             folder, k == 2 ? "0000000000" : "no such name", dialects[k], dialects[k]);
    assert_int_equal(system(command), 0);
    snprintf(pattern, sizeof pattern, "%%s/%s.tar", dialects[k]);
    dataset *d = open_one(pattern);
    assert_int_equal(dataset_count(d), k == 2 ? 3 : 4); /* ustar has no name of 120 in one part */
    (void)dataset_warnings(d, &left_out);
    assert_int_equal(left_out, k == 2 ? 1 : 2);
    for (; row < dataset_count(d); row++) {
      dataset_sample s;
      bool is_known = false;
      assert_ok(dataset_read_text(d, row, &s));
      for (int i = 0; i < 4; i++) is_known = is_known || strcmp(s.key, keys[whole[i]]) == 0;
      if (!is_known) fail_msg("%s: key '%s' is none of those written", dialects[k], s.key);
      if (*s.caption) assert_string_equal(s.caption, s.key);
      dataset_sample_free(&s);
    }
    dataset_close(d);
  }
}

static void keep_fingerprint(const char *pattern, char digest[64]) {
  dataset *d = open_one(pattern);
  snprintf(digest, 64, "%s", dataset_fingerprint(d));
  dataset_close(d);
}

/* Another picture, and another caption, under the same names. */
static void the_fingerprint_covers_file_contents(void **state) {
  (void)state;
  char first[64], again[64], other[64], caption[64];
  for (int i = 0; i < 5; i++) {
    char name[64];
    snprintf(name, sizeof name, "seen/%d.png", i);
    write_picture(name, (uint8_t)(10 * i));
    snprintf(name, sizeof name, "seen/%d.txt", i);
    write_text(name, "a thing");
  }
  keep_fingerprint("folder:%s/seen", first);
  keep_fingerprint("folder:%s/seen", again);
  assert_string_equal(first, again);
  write_picture("seen/3.png", 200);
  keep_fingerprint("folder:%s/seen", other);
  assert_string_not_equal(first, other);
  write_picture("seen/3.png", 30);
  keep_fingerprint("folder:%s/seen", again);
  assert_string_equal(first, again);
  write_text("seen/4.txt", "a think");
  keep_fingerprint("folder:%s/seen", caption);
  assert_string_not_equal(first, caption);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  folder_remove(folder);
  return 0;
}

/* Row i of scenes:SEED is scene i of the seed: nothing is on disk, and a thousand million are
 * there. */
static void scenes_are_drawn_while_they_are_read(void **state) {
  (void)state;
  dataset *endless = open_one("scenes:7"),
          *few = open_one("scenes:7#count=20,size=32,split=heldout");
  dataset *other = open_one("scenes:8");
  static const int64_t rows[] = {0, 19, 123456789};
  assert_int_equal(dataset_count(endless), 1000000000);
  assert_int_equal(dataset_count(few), 20);
  assert_string_not_equal(dataset_fingerprint(endless), dataset_fingerprint(other));
  for (int k = 0; k < 5; k++) {
    bool is_heldout = k > 2;
    int64_t row = rows[k % 3];
    int32_t side = is_heldout ? 32 : 64;
    dataset_sample s, text;
    scene wanted;
    image picture;
    assert_ok(scenes_draw(&(scene_set){1, 7, is_heldout}, row, side, &wanted));
    assert_ok(dataset_read(is_heldout ? few : endless, row, &s));
    assert_ok(image_decode(s.image, s.image_bytes, 0, &picture));
    assert_int_equal(picture.width, side);
    assert_memory_equal(picture.pixels, wanted.pixels, (size_t)(side * side * 3));
    assert_string_equal(s.caption, wanted.caption);
    assert_non_null(strstr(s.json, wanted.combo));
    assert_ok(dataset_read_text(is_heldout ? few : endless, row, &text));
    assert_string_equal(text.caption, wanted.caption);
    assert_null(text.image);
    dataset_sample_free(&text);
    dataset_sample_free(&s);
    image_free(&picture);
    scene_free(&wanted);
  }
  dataset *second = open_one("scenes:7#version=2"), *named = open_one("scenes:7#version=1");
  dataset_sample new;
  assert_string_not_equal(dataset_fingerprint(endless), dataset_fingerprint(second));
  assert_string_equal(dataset_fingerprint(endless), dataset_fingerprint(named));
  assert_ok(dataset_read(second, 4, &new));
  assert_non_null(strstr(new.json, "\"whole\""));
  dataset_sample_free(&new);
  dataset_close(second);
  dataset_close(named);
  dataset_close(endless);
  dataset_close(few);
  dataset_close(other);
  refuse_one("scenes:1#version=3", "version '3' is not a whole number in [1, 2]");
  refuse_one("scenes:red", "scenes:red: the seed 'red' is not a whole number");
  refuse_one("scenes:1#size=5", "size '5' is not a whole number in [16, 1024]");
  refuse_one("scenes:1#split=test", "unknown split 'test': expected train or heldout");
  refuse_one("scenes:1#number=5", "a source of kind scenes has no option 'number'");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_folder_gives_its_images_with_their_text_files),
      cmocka_unit_test(imagenets_folders_are_named_by_a_list),
      cmocka_unit_test(lists_may_quote_and_name_their_columns),
      cmocka_unit_test(cifars_binary_files_are_read),
      cmocka_unit_test(scenes_are_drawn_while_they_are_read),
      cmocka_unit_test(coco_has_a_row_a_caption_or_a_row_an_image),
      cmocka_unit_test(open_images_labels_and_narratives_become_captions),
      cmocka_unit_test(an_image_without_a_positive_label_is_counted),
      cmocka_unit_test(shards_may_be_listed_and_take_captions_from_json),
      cmocka_unit_test(a_shard_that_is_cut_gives_its_whole_samples),
      cmocka_unit_test(a_shard_that_ends_between_members_is_reported),
      cmocka_unit_test(what_follows_the_end_of_a_shard_is_reported),
      cmocka_unit_test(sparse_members_are_skipped_and_named),
      cmocka_unit_test(pipes_run_only_when_they_are_allowed),
      cmocka_unit_test(keys_of_any_length_are_those_of_their_members),
      cmocka_unit_test(the_fingerprint_covers_file_contents),
      cmocka_unit_test(a_range_in_a_pipe_is_a_command_a_number),
      cmocka_unit_test(a_stream_has_the_fingerprint_of_the_exact_order),
      cmocka_unit_test(counts_next_to_the_shards_are_read),
      cmocka_unit_test(what_no_stream_can_read_is_refused),
      cmocka_unit_test(a_shard_that_changes_during_a_run_is_named),
      cmocka_unit_test(a_weight_is_how_often_an_epoch_shows_a_source),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
