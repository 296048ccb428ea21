"""The simulated study: catalog, conditions, episodes, robot, environment, planner."""
