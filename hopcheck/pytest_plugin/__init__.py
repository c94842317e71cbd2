"""The plugin by its public name: ``-p hopcheck.pytest_plugin`` (`hopcheck.app.pytest_plugin`)."""

from hopcheck.app.fixtures import *  # noqa: F403
from hopcheck.app.pytest_plugin import *  # noqa: F403  # pytest finds hooks and fixtures by name
