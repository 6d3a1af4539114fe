"""End a task group that lives as long as an object."""

from anyio.abc import TaskGroup


async def end_tasks(tasks: TaskGroup) -> None:
    """Cancel what runs in `tasks`, wait for its end and leave the group, undisturbed by a cancellation from outside.

    Called from `__aexit__` without the exception of the block: a task group would wrap that into a group.
    """
    tasks.cancel_scope.shield = True
    tasks.cancel_scope.cancel()
    await tasks.__aexit__(None, None, None)
