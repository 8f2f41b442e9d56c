"""The AWS provider's schema, for Terraform where the provider itself can't be downloaded.

`tools/aws-schema/` holds a provider that serves nothing but a schema, and the schema: of the
resources and data sources named in `names.txt`, in the form of `terraform providers schema -json`.
To use another resource in the generated repository, add its name there and run

    python -m tools.aws_schema

which reads what the PyPI package of the bindings for CDK for Terraform states of it. Those bindings
ended at version 6.25.0 of the provider; what is newer has to be tried with the real one. They tell
an optional attribute, but not whether the provider also computes it when it is left out: here it
does only for those in `COMPUTED_TOO`.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import fetch

HERE = Path(__file__).resolve().parent / "aws-schema"
NAMES = HERE / "names.txt"
SCHEMA = HERE / "schema.json"
ANSWERS = HERE / "answers.json"
SOURCES = ("main.go", "go.mod", "go.sum")

ADDRESS = "registry.terraform.io/hashicorp/aws"
BINDINGS = "cdktf-cdktf-provider-aws==21.22.1"
COMPUTED_TOO = frozenset({"id", "region", "tags_all"})

Json = dict[str, Any]

SIMPLE: dict[str, Any] = {
    "getStringAttribute": "string",
    "getNumberAttribute": "number",
    "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"],
    "getNumberListAttribute": ["list", "number"],
    "getStringMapAttribute": ["map", "string"],
    "getNumberMapAttribute": ["map", "number"],
    "getBooleanMapAttribute": ["map", "bool"],
}
MAPS: dict[str, Any] = {
    "cdktf.StringMap": ["map", "string"],
    "cdktf.StringMapList": ["list", ["map", "string"]],
}
CLASS = re.compile(r"^class (\w+) extends cdktf\.\w+ \{\n(.*?)^\}", re.M | re.S)
GETTER = re.compile(r"^    get (\w+)\(\) \{\n\s+return (.+);$", re.M)
SIMPLE_GETTER = re.compile(r"(cdktf\.Fn\.tolist\()?this\.(get\w+Attribute)\('(\w+)'\)\)?")
PART = re.compile(
    r"// \w+ - computed: (true|false), optional: (true|false), required: (true|false)\n"
    r"\s+this\._(\w+) = new ([\w.]+)\(this, \"(\w+)\"(?:, (true|false))?\);"
)
ARGUMENT = re.compile(
    r"^ +(\w+): \{\n\s+value: .*\n\s+isBlock: (?:true|false),\n"
    r"\s+type: \"(\w+)\",\n\s+storageClassType: \"(\w+)\"",
    re.M,
)
SCALARS = {"string": "string", "number": "number", "boolean": "bool"}


class SchemaError(Exception):
    """The bindings state something that this reader does not know."""


def arguments(text: str) -> dict[str, tuple[str, str]]:
    """Return the arguments that a piece of the bindings writes, and of what kind each is."""
    return {name: (kind, stored) for name, kind, stored in ARGUMENT.findall(text)}


def type_of(block: Json) -> list[Any]:
    """Return the type of the objects that a block gives."""
    fields = {name: attribute["type"] for name, attribute in block["attributes"].items()}
    for name, nested in block.get("block_types", {}).items():
        fields[name] = [nested["nesting_mode"], type_of(nested["block"])]
    return ["object", fields]


def module_of(name: str) -> str:
    """Return the path of the module that describes what a name of names.txt stands for."""
    stem = f"data-{name[5:]}" if name.startswith("data.") else name.removeprefix("aws_")
    return f"package/lib/{stem.replace('_', '-')}/index.js"


@dataclass(frozen=True)
class Bindings:
    """One module of the bindings: the text of its classes, and the kinds of their arguments."""

    classes: dict[str, str]
    kinds: dict[str, dict[str, tuple[str, str]]]

    @classmethod
    def of(cls, source: str) -> Bindings:
        """Read the JavaScript of a module."""
        classes = dict(CLASS.findall(source))
        kinds = {}
        functions = re.findall(
            r"^function (\w+)ToHclTerraform\(struct\) \{\n(.*?)^\}", source, re.M | re.S
        )
        for name, text in functions:
            kinds[name.lower()] = arguments(text)
        for name, text in classes.items():
            if "synthesizeHclAttributes() {" in text:
                kinds[name.lower()] = arguments(text.split("synthesizeHclAttributes() {")[1])
        return cls(classes, kinds)

    def block(self, name: str) -> Json:
        """Return the schema of the block that a class stands for."""
        text = self.classes[name]
        kinds = self.kinds.get(name.removesuffix("OutputReference").lower(), {})
        parts = {match[3]: match for match in PART.findall(text)}
        attributes: Json = {}
        blocks: Json = {}
        for getter, value in GETTER.findall(text):
            simple = SIMPLE_GETTER.fullmatch(value)
            if simple:
                kind: Any = SIMPLE[simple[2]]
                attributes[simple[3]] = self._simple(
                    text, getter, ["set", *kind[1:]] if simple[1] else kind, simple[3]
                )
            elif value.removeprefix("this._") in parts and not getter.endswith("Input"):
                self._part(parts[value.removeprefix("this._")], kinds, attributes, blocks)
            elif getter != "internalValue" and not getter.endswith("Input"):
                raise SchemaError(f"{name}: what is {getter}, {value}?")
        result: Json = {"attributes": dict(sorted(attributes.items()))}
        if blocks:
            result["block_types"] = dict(sorted(blocks.items()))
        return result

    @staticmethod
    def _simple(text: str, getter: str, kind: object, name: str) -> Json:
        """Return the schema of an attribute without parts."""
        settable = f"    set {getter}(value) {{" in text
        optional = settable and f"    reset{getter[0].upper()}{getter[1:]}() {{" in text
        attribute: Json = {"type": kind}
        if settable and not optional:
            attribute["required"] = True
        if optional:
            attribute["optional"] = True
        if not settable or (optional and name in COMPUTED_TOO):
            attribute["computed"] = True
        return attribute

    def provider(self, name: str) -> Json:
        """Return the schema of the provider's own configuration, whose class has no types.

        Without its endpoints: they are hundreds.
        """
        attributes: Json = {}
        blocks: Json = {}
        for argument, (kind, stored) in sorted(self.kinds[name.lower()].items()):
            scalar = SCALARS.get(stored.removesuffix("List").removesuffix("Map"))
            if scalar:
                of = scalar if kind == "simple" else [kind, scalar]
                attributes[argument] = {"type": of, "optional": True}
            elif argument not in ("alias", "endpoints"):
                inner = self.provider(stored.removesuffix("List"))
                blocks[argument] = {"nesting_mode": kind, "block": inner}
        attributes.pop("alias", None)
        return {"attributes": attributes, **({"block_types": blocks} if blocks else {})}

    def _part(
        self,
        part: tuple[str, ...],
        kinds: dict[str, tuple[str, str]],
        attributes: Json,
        blocks: Json,
    ) -> None:
        """Add a part of several values: an attribute when it is computed, else a block."""
        computed, optional, required, _, made_of, name, in_set = part
        if made_of in MAPS:
            attributes[name] = {"type": MAPS[made_of], "computed": True}
            return
        single = not made_of.endswith("List")
        inner = made_of if single else f"{made_of.removesuffix('List')}OutputReference"
        kind = kinds[name][0] if name in kinds else ("set" if in_set == "true" else "list")
        if computed == "true":
            # A list of objects that the provider fills when it is left out: in its language an
            # attribute, though it may also be written as blocks.
            objects = type_of(self.block(inner))
            attribute: Json = {"type": [kind, objects], "computed": True}
            if optional == "true":
                attribute["optional"] = True
            attributes[name] = attribute
            return
        nesting = "single" if kind == "struct" else kind
        block: Json = {"nesting_mode": nesting, "block": self.block(inner)}
        if required == "true" and nesting != "single":
            block["min_items"] = 1
        if single and nesting != "single":
            block["max_items"] = 1
        blocks[name] = block


def wanted() -> list[str]:
    """Return the names in names.txt; that of a data source begins with `data.`."""
    lines = NAMES.read_text(encoding="utf-8").splitlines()
    return sorted(line for line in lines if line and not line.startswith("#"))


def class_of(source: str) -> str:
    """Return the class of a module that stands for the resource, data source or provider."""
    found = re.search(
        r"^class (\w+) extends cdktf\.Terraform(?:Resource|DataSource|Provider) ", source, re.M
    )
    if not found:
        raise SchemaError("the module has no resource")
    return found[1]


@contextmanager
def bindings() -> Iterator[tarfile.TarFile]:
    """Get the bindings and open the archive of their classes."""
    with tempfile.TemporaryDirectory() as folder:
        fetch.unpack_wheel(BINDINGS, Path(folder), "getting the bindings of the AWS provider")
        archive = next(Path(folder).glob("cdktf_cdktf_provider_aws/_jsii/*.tgz"))
        with tarfile.open(archive) as opened:
            yield opened


def extract() -> Json:
    """Read the schema of all that names.txt names."""
    names = wanted()
    modules = {module_of(name): name for name in [*names, "provider"]}
    found: Json = {}
    with bindings() as archive:
        for member in archive:
            if member.name in modules:
                stream = archive.extractfile(member)
                assert stream
                source = io.TextIOWrapper(stream, encoding="utf-8").read()
                name = modules[member.name]
                try:
                    module = Bindings.of(source)
                    read = module.provider if name == "provider" else module.block
                    block = read(class_of(source))
                except SchemaError as error:
                    raise SchemaError(f"{name}: {error}") from error
                found[name] = {"version": 0, "block": block}
    missing = set(names) - set(found)
    if missing:
        raise SchemaError(f"the bindings do not know {', '.join(sorted(missing))}")
    return {
        "format_version": "1.0",
        "provider_schemas": {
            ADDRESS: {
                "provider": found["provider"],
                "resource_schemas": {n: found[n] for n in names if not n.startswith("data.")},
                "data_source_schemas": {
                    n.removeprefix("data."): found[n] for n in names if n.startswith("data.")
                },
            }
        },
    }


def write(schema: Json) -> None:
    """Write the schema, one attribute a line, so that a difference can be read."""

    def text(value: object, indent: int) -> str:
        flat = isinstance(value, dict) and ("type" in value or not value)
        if not isinstance(value, dict) or flat:
            return json.dumps(value)
        pad = " " * (indent + 1)
        inner = ",\n".join(f"{pad}{json.dumps(k)}: {text(v, indent + 1)}" for k, v in value.items())
        return f"{{\n{inner}\n{' ' * indent}}}"

    SCHEMA.write_text(text(schema, 0) + "\n", encoding="utf-8")


def build(folder: Path) -> None:
    """Build the provider into a folder, as the file name that Terraform looks for begins."""
    what = "building the provider that serves a schema"
    with tempfile.TemporaryDirectory() as scratch:
        for source in SOURCES:
            shutil.copyfile(HERE / source, Path(scratch, source))
        target = str(folder / "terraform-provider-aws")
        fetch.go(
            ["build", "-C", scratch, "-trimpath", "-ldflags", "-s -w", "-o", target, "."], what
        )


def cli_configuration(version: str) -> Path:
    """Return a file for TF_CLI_CONFIG_FILE with which Terraform takes the provider from here.

    Args:
        version: that of the AWS provider for which it stands.
    """
    files = [*(HERE / name for name in SOURCES), SCHEMA, ANSWERS]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    home = fetch.CACHE / f"aws-schema-{version}-{digest}"
    configuration = home / "terraform.rc"
    with fetch.locked(home):
        if configuration.is_file():
            return configuration
        fetch.say("building a provider that serves the schema of AWS, once; about 0.5 min")
        platform = f"{sys.platform}_{fetch.go(['env', 'GOARCH'], 'asking go').strip()}"
        shutil.rmtree(home, ignore_errors=True)
        folder = home / "mirror" / ADDRESS / version / platform
        folder.mkdir(parents=True)
        build(folder)
        shutil.copyfile(SCHEMA, folder / "schema.json")
        shutil.copyfile(ANSWERS, folder / "answers.json")
        mirror = json.dumps(str(home / "mirror"))
        configuration.write_text(
            "disable_checkpoint = true\n"
            f"provider_installation {{\n  filesystem_mirror {{\n    path = {mirror}\n  }}\n}}\n",
            encoding="utf-8",
        )
    return configuration


if __name__ == "__main__":
    write(extract())
