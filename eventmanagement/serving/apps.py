from django.contrib.admin import apps


class AdminConfig(apps.AdminConfig):
    default_site = "eventmanagement.serving.admin.AdminSite"
