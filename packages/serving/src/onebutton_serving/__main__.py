"""Start a server: `python -m onebutton_serving --store .releases --pipeline flight_delays`."""

import sys

from onebutton_serving.server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
