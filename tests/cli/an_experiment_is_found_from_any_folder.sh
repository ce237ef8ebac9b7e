# By its name and --results an experiment is found from every folder, though it was started with a
# relative path: that leads to the file from the folder that holds the results.
. "$SOURCE/tests/support/sweep.sh"
mkdir -p project away lake && mv experiments vocab.txt project/ && cd project
mkdir presets && echo 'learning_rate: 2.0e-3' > presets/fast.yaml # a base relative to the folder
sed -i 's/^title:/base: presets\/fast.yaml\ntitle:/' experiments/small.yaml
expect_status 0 bench run experiments/small.yaml --results results --no-progress
bench report small > "$SCRATCH/report.txt"
bench status small > "$SCRATCH/status.txt"
rm -rf results/small/plots results/small/report.html

from() { # RESULTS: as from the project's folder, and written where it says
  expect_status 0 bench report small --results "$1"
  cmp out.txt "$SCRATCH/report.txt" || fail "another report from $PWD with $1"
  expect_status 0 bench status small --results "$1"
  cmp out.txt "$SCRATCH/status.txt" || { cat out.txt; fail "another status from $PWD with $1"; }
  expect_status 0 bench report small --results "$1" --format html --out page.html
  [ -s page.html ] || fail "the page is not where --out says"
  expect_status 0 bench export small --results "$1" --format csv --out curves
  [ -s curves/metrics.csv ] || fail "the curves are not where --out says"
  expect_status 0 bench plot small --results "$1" --figure loss --format svg --out figures
  [ -s figures/loss.svg ] || fail "the figure is not where --out says"
  expect_status 0 bench bundle small --results "$1" --out small.tar.gz
  [ -s small.tar.gz ] || fail "the bundle is not where --out says"
  rm -rf page.html curves figures small.tar.gz
}
cd "$SCRATCH/away"
from ../project/results
from ../project/results/
from "$SCRATCH/project/results"
cd "$SCRATCH/project/results" && from . && cd "$SCRATCH/away"
# The results may be a link to where there is room.
mv ../project/results ../lake/ && ln -s ../lake/results ../project/results
from ../project/results
(cd ../project/results/small && [ ! -e page.html ]) || fail "written to the results folder"

# A path that leads nowhere is reported with the folders that were tried.
expect_status 1 bench report small --results ../lake/results
expect_line err.txt 'its file is not here, nor in the folder that holds ../lake/results: .*: experiments/small.yaml: '
expect_line err.txt 'run this where it was run, or give its file'
expect_status 0 bench status small --results ../lake/results
expect_line out.txt 'showing the recorded cells'
