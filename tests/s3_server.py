"""An S3 server on the loopback interface, with buckets for the tests."""

from __future__ import annotations

import logging
import os
import secrets
from dataclasses import dataclass
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from hashmatch.config import Storage

SECRET = "hunter2-is-not-for-messages"
# Where moto's own start-up looks for credentials.
os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")


class Version(NamedTuple):
    """etag: None for a delete marker."""

    id: str
    etag: str | None
    latest: bool


@dataclass(frozen=True)
class Bucket:
    """A bucket of its own. `client` goes past hashmatch, for what the platform would do."""

    name: str
    endpoint: str
    client: Any

    def storage(self, prefix: str = "", **settings: Any) -> Storage:
        return Storage(
            url=f"s3://{self.name}/{prefix}",
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id="AKIAEXAMPLE",
            secret_access_key=SECRET,
            **{"timeout_seconds": 5, "retries": 0, **settings},
        )

    def settings(self, section: str) -> dict[str, str]:
        """The environment that makes it the storage of [clips] or [vault]."""
        return {
            f"HASHMATCH_{section}__URL": f"s3://{self.name}",
            f"HASHMATCH_{section}__ENDPOINT": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def put(self, key: str, body: bytes) -> str:
        answer = self.client.put_object(Bucket=self.name, Key=key, Body=body)
        return answer["ETag"]

    def keys(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return [one["Key"] for one in found]

    def keep_versions(self, status: str = "Enabled") -> None:
        self.client.put_bucket_versioning(
            Bucket=self.name, VersioningConfiguration={"Status": status}
        )

    def history(self, key: str) -> list[Version]:
        """What is stored under exactly this key, versions before delete markers."""
        found = self.client.list_object_versions(Bucket=self.name, Prefix=key)
        entries = [*found.get("Versions", []), *found.get("DeleteMarkers", [])]
        return [
            Version(one["VersionId"], one.get("ETag"), one["IsLatest"])
            for one in entries
            if one["Key"] == key
        ]

    def objects(self) -> dict[str, bytes]:
        """All that is in it."""
        return {
            key: self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
            for key in self.keys()
        }


class S3Server:
    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        _, port = self._server.get_host_and_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self._client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="AKIAEXAMPLE",
            aws_secret_access_key=SECRET,
            config=Config(s3={"addressing_style": "path"}),
        )

    def bucket(self, *, lock: bool = False) -> Bucket:
        name = f"clips-{secrets.token_hex(6)}"
        self._client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        return Bucket(name, self.endpoint, self._client)

    def forget(self, bucket: Bucket) -> None:
        """Free the memory that its objects take, unfinished uploads among them."""
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.pop(bucket.name, None)

    def stop(self) -> None:
        self._server.stop()
