"""Cuts the reference documentation of two clients into documents, one JSON object a line on standard output.

Arguments: the wheels of botocore and google-api-python-client. A document is one operation or one type of an API: its
own description without markup, then a line for each member that has one. Nothing is run of what the wheels hold.
"""

import gzip
import html
import json
import re
import sys
import zipfile

TAG = re.compile(r"<[^>]*>")
SPACE = re.compile(r"\s+")


def plain(text):
    return SPACE.sub(" ", html.unescape(TAG.sub(" ", text or ""))).strip()


def document(api, kind, name, description, members):
    lines = [plain(description)]
    for member, text in members.items():
        text = plain(text)
        if text:
            lines.append(f"{member}: {text}")
    body = "\n".join(line for line in lines if line)
    if not body:
        return None
    publisher, service, version, published = api
    return {
        "id": f"{publisher}/{service}/{version}/{kind}/{name}",
        "title": name,
        "body": body,
        "publisher": publisher,
        "service": service,
        "kind": kind,
        "members": len(members),
        "published": published,
    }


def amazon(wheel):
    for name in sorted(wheel.namelist()):
        if not name.endswith("/service-2.json.gz"):
            continue
        model = json.loads(gzip.decompress(wheel.read(name)))
        service, version = name.split("/")[2:4]
        api = "amazon", service, version, model["metadata"]["apiVersion"]
        for name, operation in model.get("operations", {}).items():
            yield document(api, "operation", name, operation.get("documentation"), {})
        for name, shape in model.get("shapes", {}).items():
            members = shape.get("members", {})
            members = {member: about.get("documentation") for member, about in members.items()}
            yield document(api, "type", name, shape.get("documentation"), members)


def google(wheel):
    for name in sorted(wheel.namelist()):
        if "/discovery_cache/documents/" not in name or not name.endswith(".json"):
            continue
        model = json.loads(wheel.read(name))
        if "schemas" not in model and "resources" not in model:
            continue
        revision = model.get("revision", "")
        published = f"{revision[:4]}-{revision[4:6]}-{revision[6:]}" if re.fullmatch(r"\d{8}", revision) else None
        api = "google", model["name"], model["version"], published
        for name, schema in model.get("schemas", {}).items():
            members = {member: described(about) for member, about in schema.get("properties", {}).items()}
            yield document(api, "type", name, schema.get("description"), members)
        yield from methods(api, model)


def methods(api, resource):
    for method in resource.get("methods", {}).values():
        members = {member: described(about) for member, about in method.get("parameters", {}).items()}
        yield document(api, "operation", method["id"], method.get("description"), members)
    for inner in resource.get("resources", {}).values():
        yield from methods(api, inner)


def described(about):
    values = zip(about.get("enum", []), about.get("enumDescriptions", []))
    return " ".join([about.get("description", ""), *(f"{value}: {text}" for value, text in values if text)])


seen = set()
for cut, path in zip((amazon, google), sys.argv[1:]):
    with zipfile.ZipFile(path) as wheel:
        for found in cut(wheel):
            # A few services file one name twice.
            if found and found["id"] not in seen:
                seen.add(found["id"])
                print(json.dumps(found, ensure_ascii=False))
