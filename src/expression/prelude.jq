# What the allow list has besides native functions: what must work in paths and updates, and what reads best as jq.
# `first/1 last/1 limit skip path path_value` are jaq's own.

def empty: {}[] as $x | .;
def error: _error as $x | .;
def error(message): (message | _error) as $x | .;
def select(f): if f then . else empty end;

def values: select(. != null);
def nulls: select(. == null);
def booleans: select(type == "boolean");
def numbers: select(type == "number");
def strings: select(type == "string");
def arrays: select(type == "array");
def objects: select(type == "object");
def iterables: select(type == "array" or type == "object");
def scalars: select(type != "array" and type != "object");

def isempty(f): first((f | false), true);
def all(f; condition): isempty(f | condition and empty);
def any(f; condition): isempty(f | condition or empty) | not;
def all(condition): all(.[]; condition);
def any(condition): any(.[]; condition);
def all: all(.[]; .);
def any: any(.[]; .);
def IN(f): any(f == .; .);
def IN(f; g): any(f == g; .);
def in($value): . as $key | $value | has($key);
def inside($value): . as $part | $value | contains($part);

def first: .[0];
def last: .[-1];
def nth($n): .[$n];
def nth($n; f): first(skip($n; f));
def range($upto): range(0; $upto; 1);
def range($from; $upto): range($from; $upto; 1);

def map(f): [.[] | f];
def map_values(f): .[] |= f;
def walk(f): .. |= f;
def add(f): reduce f as $x (null; . + $x);
def with_entries(f): to_entries | map(f) | from_entries;

def paths: skip(1; path(..));
def paths(f): skip(1; path_value(..)) | if .[1] | f then .[0] else empty end;
def getpath($path): ($path | _path) as $steps | reduce $steps[] as $step (.; .[$step]);
def del(f): delpaths([path(f)]);
def pick(f): . as $whole | reduce path(f) as $path (null; setpath($path; $whole | getpath($path)));

def match($re): _match($re; null)[];
def match($re; $flags): _match($re; $flags)[];
def capture($re): _capture($re; null)[];
def capture($re; $flags): _capture($re; $flags)[];
def scan($re): _scan($re; null)[];
def scan($re; $flags): _scan($re; $flags)[];
def splits($re): split($re; null)[];
def splits($re; $flags): split($re; $flags)[];
def sub($re; f): sub($re; f; "");
def gsub($re; f): sub($re; f; "g");
def gsub($re; f; $flags): sub($re; f; "g" + $flags);
