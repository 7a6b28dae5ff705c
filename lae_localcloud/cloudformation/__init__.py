"""CloudFormation before moto's own services: templates, change sets, stacks.

moto's executor of templates ignores most properties, replaces nothing and never rolls
back; its services behind the front do what they are asked to.  So a template is read
here (pure), and each resource is made by calls that the caller has signed.
"""
