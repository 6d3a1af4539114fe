"""The command in the home network that the environment tells: what `portmapper` is in the console blocks."""

import os
import sys

from portmapper.cli import main
from tests.docs.home import Home

if __name__ == "__main__":
    sys.argv[0] = "portmapper"  # as which it is noted in the journal
    with Home.load(os.environ["DOCS_HOME"]).lived_in():
        main()
