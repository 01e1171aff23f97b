"""Makes digits.bin.gz from scikit-learn's copy of the data set: python3 pack.py path/to/sklearn/datasets/data/digits.csv.gz"""

import gzip
import pathlib
import sys

rows = gzip.open(sys.argv[1], "rt").read().split()
records = b"".join(bytes(int(value) for value in row.split(",")) for row in rows)
out = pathlib.Path(__file__).with_name("digits.bin.gz")
with open(out, "wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=9) as packed:
    packed.write(records)
print(f"{len(rows)} digits, {len(records)} bytes, {out.stat().st_size} packed")
