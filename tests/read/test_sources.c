/* Every format of source.h, on files made here. */
#include "read/source_files.h"

#include <sys/resource.h>
#include <unistd.h>

#include <stdlib.h>
#include <unistd.h>

#include "read/record.h"
#include "scenes/scenes.h"

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

static void a_file_is_found_by_its_name_with_brackets(void **state) {
  (void)state;
  write_shard("set[12]");
  write_shard("set1");
  write_text("set1-00000.tar", ""); /* another file, which the pattern matches */
  dataset *d = open_one("%s/set[12]-00000.tar");
  assert_int_equal(dataset_count(d), 3);
  dataset_close(d);
}

static void more_shards_than_can_be_mapped_are_refused(void **state) {
  (void)state;
  char *text, pattern[64];
  size_t length;
  assert_ok(fs_read("/proc/sys/vm/max_map_count", &text, &length));
  long most = strtol(text, NULL, 10);
  free(text);
  if (most >= 1000000) skip(); /* more than the shards that a pattern may name */
  snprintf(pattern, sizeof pattern, "%%s/many/{0..%ld}.tar", most - 1);
  refuse_one(pattern, "vm.max_map_count");
  refuse_one(pattern, "data.order: stream, larger shards");
  char name[512], *names[] = {name};
  dataset *d = NULL;
  snprintf(name, sizeof name, pattern, folder);
  err error = dataset_open_to_read(names, 1, DATASET_PAIR, &d); /* no training: it has no order */
  assert_non_null(error);
  assert_non_null(strstr(err_message(error), "use larger shards"));
  err_free(error);
  snprintf(pattern, sizeof pattern, "%%s/many/{0..%ld}.tar", most - 3000);
  refuse_one(pattern, "0.tar: cannot open"); /* there are no such files */
}

static void a_folder_gives_its_images_with_their_text_files(void **state) {
  (void)state;
  write_picture("tree/b/2.png", 20);
  write_text("tree/b/2.txt", "second");
  write_picture("tree/a_cat/1.png", 10);
  write_text("tree/a_cat/1.txt", "first");
  write_picture("tree/a_cat/deep/3.png", 30);
  write_text("tree/a_cat/notes.md", "no image");
  write_picture("tree/z.png/4.png", 40); /* a folder with an image's name */
  write_text("tree/z.png/4.txt", "fourth");
  int64_t left_out;
  dataset *d = open_one("%s/tree");
  assert_int_equal(dataset_count(d), 3);
  assert_non_null(strstr(dataset_warnings(d, &left_out), "3.png: has no caption (.txt)"));
  assert_int_equal(left_out, 1);
  expect(d, 0, "first", 10);
  expect(d, 1, "second", 20);
  expect(d, 2, "fourth", 40);
  expect_label(d, 0, "class", "a cat");
  dataset_close(d);
  d = open_one("folder:%s/tree#template=a drawing of a {}");
  assert_int_equal(dataset_count(d), 4);
  expect(d, 1, "a drawing of a a cat", 30);
  dataset_close(d);
}

static void files_of_a_folder_come_by_the_components_of_their_paths(void **state) {
  (void)state;
  static const char *const names[] = {"order/a-b", "order/a/x", "order/B"};
  for (int i = 0; i < 3; i++) {
    char name[64];
    snprintf(name, sizeof name, "%s.png", names[i]);
    write_picture(name, (uint8_t)i);
    snprintf(name, sizeof name, "%s.txt", names[i]);
    write_text(name, names[i]);
  }
  dataset *d = open_one("%s/order");
  expect(d, 0, "order/B", 2);
  expect(d, 1, "order/a/x", 1);
  expect(d, 2, "order/a-b", 0);
  dataset_close(d);
}

static err_kind kind_of_reading(const dataset *d, int64_t row) {
  dataset_sample sample;
  err error = dataset_read(d, row, &sample);
  assert_non_null(error);
  assert_non_null(sample.key);
  err_kind kind = err_kind_of(error);
  err_free(error);
  dataset_sample_free(&sample);
  return kind;
}

static void rename_in_folder(const char *from, const char *to) {
  char *old = fs_join(folder, from), *new = fs_join(folder, to);
  assert_int_equal(rename(old, new), 0);
  free(old);
  free(new);
}

/* A missing file is its sample's fault; a missing folder or a limit is an outage, which would make
 * bad samples of all. */
static void an_outage_is_no_fault_of_a_sample(void **state) {
  (void)state;
  struct rlimit before, none;
  write_picture("outage/a.png", 1);
  write_text("outage/a.txt", "a");
  write_picture("outage/b.png", 2);
  write_text("outage/b.txt", "b");
  write_picture("outage/c.png", 3);
  write_text("outage/c.txt", "c");
  dataset *d = open_one("folder:%s/outage");
  char *link = fs_join(folder, "outage/b.png"), *target = fs_join(folder, "gone/b.png");
  rename_in_folder("outage/a.png", "a.png");
  assert_int_equal(kind_of_reading(d, 0), ERR_INPUT);
  rename_in_folder("outage/b.png", "b.png");
  write_text("outage/b.png/in", "a folder of that name");
  assert_int_equal(kind_of_reading(d, 1), ERR_INPUT);
  rename_in_folder("outage/b.png", "b");
  assert_int_equal(symlink(target, link), 0); /* to where nothing is mounted */
  assert_int_equal(kind_of_reading(d, 1), ERR_IO);
  assert_int_equal(unlink(link), 0);
  rename_in_folder("outage/c.txt", "c.txt");
  assert_int_equal(kind_of_reading(d, 2), ERR_INPUT);
  rename_in_folder("outage", "away");
  assert_int_equal(kind_of_reading(d, 0), ERR_IO);
  write_text("outage/x", "");
  rename_in_folder("outage/x", "x"); /* a mount point without its file system */
  assert_int_equal(kind_of_reading(d, 0), ERR_IO);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  none = (struct rlimit){3, before.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  err_kind kind = kind_of_reading(d, 2);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  assert_int_equal(kind, ERR_IO);
  free(link);
  free(target);
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
                         "pictures/2.png,\n\n  \t \npictures/2.png,plain\n ");
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
  assert_true(dataset_may_have_other_texts(d, false)); /* the fine ones */
  dataset_close(d);
  write_text("c100/coarse_label_names.txt", "fruit\n");
  d = open_one("cifar100:%s/c100#split=test");
  assert_fails_with(dataset_read(d, 1, &s),
                    "coarse label 1 has no name: coarse_label_names.txt has 1");
  dataset_sample_free(&s);
  dataset_close(d);
  write_text("c10/batches.meta.txt", "airplane\n");
  d = open_one("cifar10:%s/c10#split=test");
  assert_fails_with(dataset_read(d, 1, &s), "label 1 has no name: batches.meta.txt has 1");
  dataset_sample_free(&s);
  dataset_close(d);
  write_text("c10/test_batch.bin", "short");
  refuse_one("cifar10:%s/c10#split=test", "5 bytes are not a multiple of the record size 3073");
}

static void expect_fingerprint(const char *pattern, const char *other, bool is_same) {
  dataset *one = open_one(pattern), *two = open_one(other);
  bool is_equal = strcmp(dataset_fingerprint(one), dataset_fingerprint(two)) == 0;
  if (is_equal != is_same) fail_msg("%s and %s", dataset_fingerprint(one), other);
  dataset_close(one);
  dataset_close(two);
}

/* Names are captions. Of the data sets' own names fingerprints never said anything. */
static void other_names_of_cifars_classes_are_other_data(void **state) {
  (void)state;
  static const char *const names[] = {"airplane\nautomobile\nbird\n", "airplane\ncar\nbird\n",
                                      "airplane\nautomobile\ncat\n"};
  for (int i = 0; i < 3; i++) {
    char name[32];
    snprintf(name, sizeof name, "n%d/batches.meta.txt", i);
    write_text(name, names[i]);
    snprintf(name, sizeof name, "n%d/test_batch.bin", i);
    write_records(name, 1, 3);
  }
  expect_fingerprint("cifar10:%s/n0#split=test", "cifar10:%s/n1#split=test", false);
  expect_fingerprint("cifar10:%s/n0#split=test", "cifar10:%s/n2#split=test", false);
  write_text("n1/batches.meta.txt", names[0]);
  expect_fingerprint("cifar10:%s/n0#split=test", "cifar10:%s/n1#split=test", true);
  write_text("n1/batches.meta.txt",
             "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
  dataset *d = open_one("cifar10:%s/n1#split=test");
  assert_string_equal(dataset_fingerprint(d), "5932ba4b1d66cc1702e955d29917f1d6");
  dataset_close(d);
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
             "{\"image_id\":9,\"id\":3,\"caption\":\"nine again\"},"
             "{\"image_id\":77,\"id\":4,\"caption\":\"of no image\"},"
             "{\"image_id\":7,\"id\":6},"
             "{\"image_id\":77,\"id\":5,\"caption\":\"nor this\"}]}");
  dataset *d = open_one("%s/captions.json#images=%s/val");
  int64_t left_out;
  assert_int_equal(dataset_count(d), 3);
  expect(d, 0, "twenty-five", 25);
  expect(d, 2, "nine again", 90);
  assert_false(dataset_may_have_other_texts(d, true)); /* captions and lists are hashed */
  assert_non_null(strstr(dataset_warnings(d, &left_out), "image 7.png has no caption"));
  assert_int_equal(left_out, 1); /* the image, not its annotation too */
  assert_non_null(
      strstr(dataset_warnings(d, NULL),
             "captions.json: 1 annotation without image_id and caption skipped, such as "
             "annotation 4\n"));
  assert_non_null(strstr(dataset_warnings(d, NULL),
                         "captions.json: 2 annotations' images are not in 'images' and skipped, "
                         "such as image_id 77\n"));
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

static void rows_of_an_open_image_are_one_sample_or_refused(void **state) {
  (void)state;
  strbuf list = {0};
  write_picture("oi/two.jpg", 6);
  write_text("verified.csv", "ImageID,Source,LabelName,Confidence\ntwo,verification,Cat,1\n"
                             "two,crowdsource-verification,Cat,1\ntwo,machine,Cat tail,0.9\n");
  dataset *d = open_one("openimages:%s/verified.csv#images=%s/oi");
  assert_int_equal(dataset_count(d), 1);
  expect(d, 0, "Cat, Cat tail", 6);
  dataset_close(d);
  strbuf_append(&list, "ImageID,Source,LabelName,Confidence\n");
  for (int i = 0; i < 5000; i++) strbuf_format(&list, "%016x,verification,Cat,1\n", i);
  write_text("sorted.csv", strbuf_string(&list));
  d = open_one("openimages:%s/sorted.csv#images=%s/oi");
  assert_int_equal(dataset_count(d), 5000);
  dataset_close(d);
  strbuf_format(&list, "%016x,verification,Dog,1\n", 17);
  write_text("unsorted.csv", strbuf_string(&list));
  refuse_one("openimages:%s/unsorted.csv#images=%s/oi",
             "unsorted.csv:5002: image '0000000000000011' has rows further up");
  strbuf_free(&list);
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
  dataset *d = NULL;
  char *name = "scenes:1#size=32";
  assert_fails_with(dataset_open_to_read(&name, 1, DATASET_PAIR, &d),
                    "scenes:1#size=32: has no end, and this reads all of it");
  assert_fails_with(dataset_open_for(&name, 1, DATASET_IMAGE, &d), "as in 'scenes:0#count=20k'");
  name = "scenes:1#size=32,count=4,weight=2"; /* every sample is read once, whatever its weight */
  assert_fails_with(dataset_open_to_read(&name, 1, DATASET_PAIR, &d),
                    "weight=2: weight has an effect in data.train only");
  assert_fails_with(dataset_open_for(&name, 1, DATASET_IMAGE, &d), "remove it");
  name = "scenes:1#size=32,count=4,weight=1";
  assert_ok(dataset_open_for(&name, 1, DATASET_IMAGE, &d));
  dataset_close(d);
  refuse_one("scenes:1#number=5", "a source of kind scenes has no option 'number'");
}

/* Of two sources of 40 samples an epoch shows 20 each: two epochs are one pass over a source. A
 * pass shows each sample once, in an order that no other pass has, nor the other source. */
static void each_pass_over_a_weighted_source_has_its_own_order(void **state) {
  (void)state;
  enum { COUNT = 40, PLACES = 20, PASSES = 3 };
  char *names[] = {(char *)"scenes:1#size=32,count=40,weight=0.5",
                   (char *)"scenes:2#size=32,count=40,weight=0.5"};
  int64_t orders[2 * PASSES][COUNT];
  dataset *d;
  assert_ok(dataset_open(names, 2, &d));
  assert_int_equal(dataset_epoch(d), 2 * PLACES);
  for (int64_t source = 0; source < 2; source++)
    for (int64_t pass = 0; pass < PASSES; pass++) {
      int64_t *order = orders[source * PASSES + pass];
      bool is_seen[COUNT] = {false};
      for (int64_t i = 0; i < COUNT; i++) {
        order[i] = dataset_row(d, 7, true, 2 * pass + i / PLACES, source * PLACES + i % PLACES) -
                   source * COUNT;
        assert_true(order[i] >= 0 && order[i] < COUNT && !is_seen[order[i]]);
        is_seen[order[i]] = true;
      }
    }
  for (size_t a = 0; a < 2 * PASSES; a++)
    for (size_t b = 0; b < a; b++) assert_memory_not_equal(orders[a], orders[b], sizeof *orders);
  dataset_close(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_folder_gives_its_images_with_their_text_files),
      cmocka_unit_test(files_of_a_folder_come_by_the_components_of_their_paths),
      cmocka_unit_test(an_outage_is_no_fault_of_a_sample),
      cmocka_unit_test(imagenets_folders_are_named_by_a_list),
      cmocka_unit_test(a_file_is_found_by_its_name_with_brackets),
      cmocka_unit_test(more_shards_than_can_be_mapped_are_refused),
      cmocka_unit_test(lists_may_quote_and_name_their_columns),
      cmocka_unit_test(cifars_binary_files_are_read),
      cmocka_unit_test(other_names_of_cifars_classes_are_other_data),
      cmocka_unit_test(scenes_are_drawn_while_they_are_read),
      cmocka_unit_test(coco_has_a_row_a_caption_or_a_row_an_image),
      cmocka_unit_test(open_images_labels_and_narratives_become_captions),
      cmocka_unit_test(rows_of_an_open_image_are_one_sample_or_refused),
      cmocka_unit_test(an_image_without_a_positive_label_is_counted),
      cmocka_unit_test(the_fingerprint_covers_file_contents),
      cmocka_unit_test(each_pass_over_a_weighted_source_has_its_own_order),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
