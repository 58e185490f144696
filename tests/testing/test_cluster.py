"""The cluster in memory, as lightkube finds it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from lightkube import ApiError, AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import Cluster as ClusterEntry
from lightkube.config.models import User
from lightkube.generic_resource import GenericNamespacedResource, create_namespaced_resource
from lightkube.models.meta_v1 import ObjectMeta, OwnerReference
from lightkube.resources.apps_v1 import Deployment, StatefulSet
from lightkube.resources.coordination_v1 import Lease
from lightkube.resources.core_v1 import ConfigMap, Event, Namespace, Pod, Secret, Service
from lightkube.resources.discovery_v1 import EndpointSlice
from lightkube.types import CascadeType, PatchType

from mooring.testing.cluster import Cluster, running

Run = Callable[[Coroutine[Any, Any, None]], None]
SERVER: Any = create_namespaced_resource("mooring.dev", "v1alpha1", "MCPServer", "mcpservers")

_WORKLOAD = {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {}}}
NEEDED: dict[Any, Any] = {
    Deployment: _WORKLOAD,
    StatefulSet: _WORKLOAD,
    EndpointSlice: {"addressType": "IPv4", "endpoints": []},
}
"""What lightkube's types insist on."""


@asynccontextmanager
async def client(cluster: Cluster | None = None) -> AsyncIterator[AsyncClient]:
    async with running(cluster or Cluster()) as url:
        config = KubeConfig.from_one(cluster=ClusterEntry(server=url), user=User())
        found = AsyncClient(config, namespace="default")
        try:
            yield found
        finally:
            await found.close()


def meta(name: str, *owners: Any, **more: Any) -> ObjectMeta:
    references = [
        OwnerReference(
            apiVersion="v1", kind=owner.kind or "Pod", name=owner.metadata.name,
            uid=owner.metadata.uid,
        )
        for owner in owners
    ]  # fmt: skip
    return ObjectMeta(name=name, namespace="default", ownerReferences=references, **more)


def server(name: str) -> GenericNamespacedResource:
    document = {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "MCPServer",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"source": {"pypi": "mcp-server-time"}},
    }
    found: GenericNamespacedResource = SERVER.from_dict(document)
    return found


async def names(client: AsyncClient, kind: Any) -> list[str]:
    return [each.metadata.name async for each in client.list(kind, namespace="default")]


async def refused(work: Any) -> int:
    with pytest.raises(ApiError) as caught:
        await work
    return int(caught.value.status.code or 0)


@pytest.mark.parametrize(
    "kind", [Deployment, StatefulSet, Pod, Service, EndpointSlice, ConfigMap, Lease, Secret]
)
def test_every_kind_is_made_read_listed_and_deleted(kind: Any, run: Run) -> None:
    async def story() -> None:
        async with client() as cluster:
            document = {"metadata": {"name": "a"}, **NEEDED.get(kind, {})}
            made = await cluster.create(kind.from_dict(document))
            assert made.metadata.uid
            assert (await cluster.get(kind, "a")).metadata == made.metadata
            assert await refused(cluster.create(kind.from_dict(document))) == 409
            assert await names(cluster, kind) == ["a"]
            await cluster.delete(kind, "a")
            assert await refused(cluster.get(kind, "a")) == 404
            assert await names(cluster, kind) == []

    run(story())


def test_what_a_document_says_is_kept_whatever_it_is(run: Run) -> None:
    document = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [{"name": "web", "image": "web:1"}]}},
        },
    }

    async def story() -> None:
        async with client() as cluster:
            made = await cluster.create(Deployment.from_dict(document))
            assert made.metadata.generation == 1
            assert made.spec.to_dict() == document["spec"]
            made.spec.replicas = 3
            changed = await cluster.replace(made)
            assert (changed.metadata.generation, changed.spec.replicas) == (2, 3)
            assert await refused(cluster.replace(made)) == 409
            secret = {"metadata": {"name": "s"}, "data": {"k": "dg=="}, "type": "Opaque"}
            await cluster.create(Secret.from_dict(secret))
            found = await cluster.get(Secret, "s")
            assert (found.data, found.type) == ({"k": "dg=="}, "Opaque")

    run(story())


def test_a_status_is_written_through_its_own_door(run: Run) -> None:
    async def story() -> None:
        async with client() as cluster:
            pod = Pod.from_dict({"metadata": {"name": "p"}, "status": {"phase": "Running"}})
            made = await cluster.create(pod)
            assert made.status is None
            patch = {"status": {"phase": "Running", "podIP": "10.0.0.1"}}
            patched = await cluster.patch(Pod.Status, "p", patch, patch_type=PatchType.MERGE)
            assert (patched.status.phase, patched.status.podIP) == ("Running", "10.0.0.1")
            assert patched.metadata.generation == 1
            label = {"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Failed"}}
            labelled = await cluster.patch(Pod, "p", label, patch_type=PatchType.MERGE)
            assert (labelled.metadata.labels, labelled.status.phase) == ({"a": "b"}, "Running")

    run(story())


def test_selectors_and_watches_work_as_for_our_own_kinds(run: Run) -> None:
    async def story() -> None:
        async with client() as cluster, asyncio.TaskGroup() as tasks:
            await cluster.create(Pod(metadata=meta("a", labels={"app": "x"})))
            await cluster.create(Pod(metadata=meta("b")))
            found = cluster.list(Pod, labels={"app": "x"})
            assert [each.metadata.name async for each in found] == ["a"]

            async def told() -> list[tuple[str, str]]:
                seen = []
                async for event, pod in cluster.watch(Pod, labels={"app": "x"}):
                    seen.append((event, pod.metadata.name))
                    begun.set()
                    if event == "DELETED":
                        break
                return seen

            begun = asyncio.Event()
            watch = tasks.create_task(told())
            await begun.wait()
            await cluster.create(Pod(metadata=meta("c", labels={"app": "x"})))
            await cluster.delete(Pod, "c")
            assert await watch == [("ADDED", "a"), ("ADDED", "c"), ("DELETED", "c")]

    run(story())


def test_what_belongs_to_an_object_goes_with_it(run: Run) -> None:
    async def story() -> None:
        async with client() as cluster:
            mine = await cluster.create(server("time"))
            pod = await cluster.create(Pod(metadata=meta("time-0", mine)))
            await cluster.create(ConfigMap(metadata=meta("of-the-pod", pod)))
            await cluster.create(ConfigMap(metadata=meta("free")))
            await cluster.delete(SERVER, "time")
            assert await names(cluster, Pod) == []
            assert await names(cluster, ConfigMap) == ["free"]

    run(story())


def test_what_has_another_owner_stays(run: Run) -> None:
    async def story() -> None:
        async with client() as cluster:
            one = await cluster.create(Pod(metadata=meta("one")))
            two = await cluster.create(Pod(metadata=meta("two")))
            await cluster.create(ConfigMap(metadata=meta("shared", one, two)))
            await cluster.delete(Pod, "one")
            assert await names(cluster, ConfigMap) == ["shared"]
            await cluster.delete(Pod, "two")
            assert await names(cluster, ConfigMap) == []

    run(story())


def test_an_owner_held_by_a_finalizer_holds_what_it_owns(run: Run) -> None:
    async def story() -> None:
        async with client() as cluster:
            owner = await cluster.create(Pod(metadata=meta("owner", finalizers=["a/b"])))
            await cluster.create(ConfigMap(metadata=meta("owned", owner, finalizers=["a/b"])))
            await cluster.delete(Pod, "owner")
            assert await names(cluster, ConfigMap) == ["owned"]
            free = {"metadata": {"finalizers": None}}
            await cluster.patch(Pod, "owner", free, patch_type=PatchType.MERGE)
            assert await names(cluster, Pod) == []
            marked = await cluster.get(ConfigMap, "owned")
            assert marked.metadata.deletionTimestamp is not None
            await cluster.patch(ConfigMap, "owned", free, patch_type=PatchType.MERGE)
            assert await names(cluster, ConfigMap) == []

    run(story())


def test_names_can_be_generated(run: Run) -> None:
    async def story() -> None:
        async with client() as cluster:
            for _ in range(2):
                await cluster.create(Pod.from_dict({"metadata": {"generateName": "p-"}}))
            first, second = await names(cluster, Pod)
            assert first.startswith("p-")
            assert first != second
            assert await refused(cluster.create(Pod.from_dict({"metadata": {}}))) == 422

    run(story())


def test_an_immutable_secret_keeps_its_values(run: Run) -> None:
    async def story() -> None:
        async with client() as cluster:
            fixed = {"metadata": {"name": "s"}, "data": {"k": "dg=="}, "immutable": True}
            await cluster.create(Secret.from_dict(fixed))
            patch = {"data": {"k": "dw=="}}
            changed = cluster.patch(Secret, "s", patch, patch_type=PatchType.MERGE)
            assert await refused(changed) == 422

    run(story())


def test_events_can_be_written_and_namespaces_are_nowhere_in_one(run: Run) -> None:
    async def story() -> None:
        async with client() as cluster:
            event = {"metadata": {"name": "e"}, "involvedObject": {"name": "x"}, "reason": "R"}
            await cluster.create(Event.from_dict(event))
            assert (await cluster.get(Event, "e")).involvedObject.name == "x"
            assert (await cluster.get(Namespace, "default")).metadata.name == "default"
            await cluster.create(Namespace.from_dict({"metadata": {"name": "team"}}))
            found = [each.metadata.name async for each in cluster.list(Namespace)]
            assert found == ["default", "team"]

    run(story())


def web(**containers: str) -> Any:
    listed = [{"name": name, "image": image} for name, image in containers.items()]
    return Deployment.from_dict(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": listed},
                },
            },
        }
    )


def images(of: Any) -> dict[str, str]:
    return {each.name: each.image for each in of.spec.template.spec.containers}


def test_entries_of_lists_are_merged_by_a_strategic_patch(run: Run) -> None:
    async def story() -> None:
        async with client() as cluster:
            await cluster.create(web(web="web:1", proxy="proxy:1"))
            listed = [{"name": "web", "image": "web:2"}, {"name": "proxy", "$patch": "delete"}]
            patch = {"spec": {"template": {"spec": {"containers": listed}}}}
            changed = await cluster.patch(Deployment, "web", patch)
            assert images(changed) == {"web": "web:2"}
            assert changed.spec.template.metadata.labels == {"app": "web"}
            service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}, {"port": 81}]}}
            await cluster.create(Service.from_dict(service))
            ports = {"spec": {"ports": [{"port": 80, "targetPort": 8080}]}}
            found = (await cluster.patch(Service, "s", ports)).spec.ports
            assert [(each.port, each.targetPort) for each in found] == [(80, 8080), (81, None)]

    run(story())


def test_a_json_patch_changes_places(run: Run) -> None:
    async def story() -> None:
        async with client() as cluster:
            await cluster.create(web(web="web:1"))
            path = "/spec/template/spec/containers/0/image"
            patch = [{"op": "replace", "path": path, "value": "web:2"}]
            changed = await cluster.patch(Deployment, "web", patch, patch_type=PatchType.JSON)
            assert images(changed) == {"web": "web:2"}
            patch[0]["path"] = "/nowhere/at/all"
            work = cluster.patch(Deployment, "web", patch, patch_type=PatchType.JSON)
            assert await refused(work) == 422
            work = cluster.patch(Deployment, "web", [], patch_type=PatchType.MERGE)
            assert await refused(work) == 400

    run(story())


def test_whose_fields_are_is_minded_by_server_side_apply(run: Run) -> None:
    async def story() -> None:
        async with client() as cluster:
            made = await cluster.apply(web(web="web:1", proxy="proxy:1"), field_manager="me")
            assert made.metadata.generation == 1
            (mine,) = made.metadata.managedFields
            assert (mine.manager, mine.operation) == ("me", "Apply")
            same = await cluster.apply(web(web="web:1", proxy="proxy:1"), field_manager="me")
            assert same.metadata.resourceVersion == made.metadata.resourceVersion
            scale = {"spec": {"replicas": 3}}
            await cluster.patch(
                Deployment, "web", scale, patch_type=PatchType.MERGE, field_manager="scaler"
            )
            changed = await cluster.apply(web(web="web:2"), field_manager="me")
            assert images(changed) == {"web": "web:2"}
            assert changed.spec.replicas == 3
            work = cluster.apply(web(web="web:3"), field_manager="other")
            assert await refused(work) == 409
            forced = await cluster.apply(web(web="web:3"), field_manager="other", force=True)
            assert images(forced) == {"web": "web:3"}
            status = {
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
                "status": {"readyReplicas": 1},
            }  # fmt: skip
            told = await cluster.patch(
                Deployment.Status, "web", status, patch_type=PatchType.APPLY, field_manager="me"
            )
            assert (told.status.readyReplicas, images(told)) == (1, {"web": "web:3"})

    run(story())


def test_patches_that_nobody_can_read_are_refused(run: Run) -> None:
    async def story() -> None:
        async with client() as cluster, httpx2.AsyncClient() as http:
            await cluster.create(Pod(metadata=meta("p")))
            path = f"{cluster._client._client.base_url}/api/v1/namespaces/default/pods/p"
            for kind, text, code in (
                ("text/plain", "", 415),
                ("application/merge-patch+json", "{", 400),
                ("application/apply-patch+yaml", "{}", 400),
            ):
                answer = await http.patch(path, content=text, headers={"content-type": kind})
                assert answer.status_code == code

    run(story())


@pytest.mark.parametrize("policy", ["Orphan", "Background", "Foreground"])
def test_what_belongs_to_an_object_goes_as_the_policy_says(policy: str, run: Run) -> None:
    async def story() -> None:
        async with client() as cluster:
            owner = await cluster.create(Pod(metadata=meta("owner")))
            await cluster.create(ConfigMap(metadata=meta("held", owner, finalizers=["a/b"])))
            await cluster.create(ConfigMap(metadata=meta("free", owner)))
            propagation = CascadeType[policy.upper()]
            await cluster.delete(Pod, "owner", cascade=propagation)
            left = await names(cluster, ConfigMap)
            if policy == "Orphan":
                assert (left, await names(cluster, Pod)) == (["free", "held"], [])
                assert not (await cluster.get(ConfigMap, "free")).metadata.ownerReferences
                return
            assert left == ["held"]
            waits = policy == "Foreground"
            assert await names(cluster, Pod) == (["owner"] if waits else [])
            if waits:
                marked = await cluster.get(Pod, "owner")
                assert marked.metadata.finalizers == ["foregroundDeletion"]
            free = {"metadata": {"finalizers": None}}
            await cluster.patch(ConfigMap, "held", free, patch_type=PatchType.MERGE)
            assert await names(cluster, ConfigMap) == []
            assert await names(cluster, Pod) == []

    run(story())


def test_a_namespace_goes_with_everything_in_it(run: Run) -> None:
    async def story() -> None:
        async with client() as cluster:
            await cluster.create(Namespace.from_dict({"metadata": {"name": "team"}}))
            for name, held in (("a", []), ("b", ["a/b"])):
                pod = {"metadata": {"name": name, "namespace": "team", "finalizers": held}}
                await cluster.create(Pod.from_dict(pod), namespace="team")
            await cluster.delete(Namespace, "team")
            marked = await cluster.get(Namespace, "team")
            assert marked.status.phase == "Terminating"
            assert [p.metadata.name async for p in cluster.list(Pod, namespace="team")] == ["b"]
            late = Pod.from_dict({"metadata": {"name": "c"}})
            assert await refused(cluster.create(late, namespace="team")) == 403
            free = {"metadata": {"finalizers": None}}
            await cluster.patch(Pod, "b", free, namespace="team", patch_type=PatchType.MERGE)
            assert await refused(cluster.get(Namespace, "team")) == 404
            assert await refused(cluster.delete(Namespace, "default")) == 403

    run(story())


def test_it_says_what_it_serves(run: Run) -> None:
    async def story() -> None:
        async with running(Cluster()) as url, httpx2.AsyncClient() as http:
            groups = (await http.get(f"{url}/apis")).json()["groups"]
            assert {"apps", "coordination.k8s.io", "mooring.dev"} <= {g["name"] for g in groups}
            for group in groups:
                version = group["preferredVersion"]["groupVersion"]
                told = (await http.get(f"{url}/apis/{version}")).json()["resources"]
                for entry in told:
                    if "list" in entry["verbs"]:
                        answer = await http.get(f"{url}/apis/{version}/{entry['name']}")
                        assert answer.status_code == 200
            core = (await http.get(f"{url}/api/v1")).json()["resources"]
            found = {entry["name"]: entry for entry in core}
            assert "create" in found["events"]["verbs"]
            assert not found["namespaces"]["namespaced"]
            assert found["pods"]["shortNames"] == ["po"]
            assert "pods/status" in found

    run(story())


def test_preconditions_and_versions_are_minded(run: Run) -> None:
    async def story() -> None:
        async with client() as cluster:
            made = await cluster.create(Pod(metadata=meta("p")))
            label = {"metadata": {"labels": {"a": "b"}}}
            await cluster.patch(Pod, "p", label, patch_type=PatchType.MERGE)
            stale = {"metadata": {"resourceVersion": made.metadata.resourceVersion, "labels": {}}}
            work = cluster.patch(Pod, "p", stale, patch_type=PatchType.MERGE)
            assert await refused(work) == 409

    run(story())
