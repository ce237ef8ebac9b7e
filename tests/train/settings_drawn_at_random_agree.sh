# What must not matter does not, whatever the settings are combined with; also on an imitated GPU, where that was built.
. "$SOURCE/tests/support/training.sh"
make_data
check() { python3 "$SOURCE/tests/train/settings_drawn_at_random.py" "$FLIP" "$@" || fail "settings_drawn_at_random.py $*"; }
check 0 40
[ ! -e "$BINARY/imitation/libflip_cuda.so" ] || check 0 12 --gpu "$BINARY/imitation"
