/* The part of the schema's third version that store/samples.c fills. */
#ifndef FLIPBENCH_STORE_SAMPLES_SCHEMA_H
#define FLIPBENCH_STORE_SAMPLES_SCHEMA_H

/* Samples with their measurement settings and the state of the machine: words, build and machine
 * are part of a series' identity. All rows are read again from RESULTS/benchmarks. */
// clang-format off
#define SAMPLES_VERSION_3 \
    "DROP TABLE benchmark_sample;" \
    "CREATE TABLE benchmark_sample (" /* one timing of one side of a comparison */ \
    "  session TEXT NOT NULL,"        /* the file below RESULTS/benchmarks/ it comes from */ \
    "  ordinal INTEGER NOT NULL,"     /* its position there: the order of measurement */ \
    "  series TEXT NOT NULL,"         /* what was timed: 'step mask_ratio=0.5' */ \
    "  metric TEXT NOT NULL," \
    "  words TEXT NOT NULL,"   /* the program's arguments; '' in older samples */ \
    "  build TEXT NOT NULL,"   /* its compiler and flags, as it reports them; '' if it does not */ \
    "  machine TEXT NOT NULL," /* only samples of one machine are compared */ \
    "  side TEXT NOT NULL,"    /* 'base', 'new' of an A/B comparison; '' else */ \
    "  round INTEGER," \
    "  commit_id TEXT NOT NULL," \
    "  dirty TEXT NOT NULL," \
    "  committed TEXT NOT NULL," /* commit date */ \
    "  time TEXT NOT NULL," \
    "  value REAL,"                    /* NULL: not a number */ \
    "  other_cpus REAL,"               /* CPUs used by other processes during the sample */ \
    "  stolen_share REAL,"             /* of the CPUs' time, by a hypervisor */ \
    "  is_disturbed INTEGER NOT NULL," /* more than noise */ \
    "  PRIMARY KEY (session, ordinal, metric)" \
    ") STRICT, WITHOUT ROWID;" \
    "CREATE INDEX benchmark_series ON benchmark_sample(series, metric, machine, words, build);"
// clang-format on

#endif
