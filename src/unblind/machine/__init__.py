"""Set-up of the machine: private software Vulkan, torchvision guard, doctor."""
