#include "make/rdf.h"

#include <stdlib.h>
#include <string.h>

#include <libxml/xmlreader.h>

#include "base/mem.h"
#include "make/caption.h"

err rdf_add_keyword(rdf_facts *facts, const char *keyword) {
  for (size_t i = 0; i < facts->keyword_count; i++)
    if (strcmp(facts->keywords[i], keyword) == 0) return NULL;
  char **keywords = mem_resize(facts->keywords, facts->keyword_count + 1, sizeof *keywords);
  if (!keywords) return mem_error(sizeof *keywords, "keywords");
  facts->keywords = keywords;
  keywords[facts->keyword_count] = mem_copy_string(keyword);
  return keywords[facts->keyword_count++] ? NULL : mem_error(strlen(keyword), "keywords");
}

void rdf_free(rdf_facts *facts) {
  for (size_t i = 0; i < facts->keyword_count; i++) free(facts->keywords[i]);
  free(facts->keywords);
  free(facts->title);
  free(facts->description);
  free(facts->creator);
  *facts = (rdf_facts){0};
}

/* Keeps the first non-empty text. */
static err keep_text(char **field, const char *text) {
  if (*field || !*text) return NULL;
  *field = mem_copy_string(text);
  return *field ? NULL : mem_error(strlen(text), "a drawing's facts");
}

/* A dc:title inside dc:creator and similar elements is a person's name, not the drawing's. */
typedef struct {
  int person_depth; /* 0: outside; else the element's depth + 1 */
  bool is_creator;
} place;

static err take_element(xmlTextReaderPtr reader, place *at, rdf_facts *facts) {
  const char *name = (const char *)xmlTextReaderConstLocalName(reader);
  int depth = xmlTextReaderDepth(reader) + 1;
  if (at->person_depth && depth <= at->person_depth) at->person_depth = 0;
  if (strcmp(name, "creator") == 0 || strcmp(name, "publisher") == 0 ||
      strcmp(name, "rights") == 0 || strcmp(name, "contributor") == 0) {
    *at = (place){depth, name[0] == 'c' && name[1] == 'r'};
    return NULL;
  }
  bool is_title = strcmp(name, "title") == 0, is_keyword = strcmp(name, "li") == 0;
  if (!is_title && !is_keyword && strcmp(name, "description") != 0) return NULL;
  xmlChar *raw = xmlTextReaderReadString(reader);
  strbuf clean = {0};
  const char *text = raw ? (const char *)raw : "";
  err error = NULL;
  if (is_keyword) {
    caption_clean_keyword(text, &clean);
    if (clean.length && !at->person_depth) error = rdf_add_keyword(facts, clean.data);
  } else if (is_title && at->person_depth) {
    caption_tidy(text, &clean);
    if (at->is_creator) error = keep_text(&facts->creator, strbuf_string(&clean));
  } else if (is_title) {
    caption_clean_title(text, &clean);
    error = keep_text(&facts->title, strbuf_string(&clean));
  } else {
    caption_clean_description(text, &clean);
    error = keep_text(&facts->description, strbuf_string(&clean));
  }
  xmlFree(raw);
  strbuf_free(&clean);
  return error;
}

err rdf_read(const char *path, rdf_facts *facts) {
  xmlTextReaderPtr reader = xmlReaderForFile(
      path, NULL, XML_PARSE_RECOVER | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NONET);
  if (!reader) return err_new(ERR_INPUT, "%s: cannot be read as XML", path);
  place at = {0};
  bool is_in_work = false, is_done = false;
  err error = NULL;
  while (!is_done && !error && xmlTextReaderRead(reader) == 1) {
    int type = xmlTextReaderNodeType(reader);
    const char *name = (const char *)xmlTextReaderConstLocalName(reader);
    bool is_work = name && strcmp(name, "Work") == 0;
    if (type == XML_READER_TYPE_ELEMENT && is_work)
      is_in_work = true;
    else if (type == XML_READER_TYPE_END_ELEMENT && is_work)
      is_done = true;
    else if (type == XML_READER_TYPE_ELEMENT && is_in_work)
      error = take_element(reader, &at, facts);
  }
  xmlFreeTextReader(reader);
  return error;
}
