from django.urls import path

from authentication.views import LoginView, LogoutView, SignupView

urlpatterns = [
    path("signup/", SignupView.as_view()),
    path("login/", LoginView.as_view()),
    path("logout/", LogoutView.as_view()),
]
